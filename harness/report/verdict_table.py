# SPDX-License-Identifier: Apache-2.0
"""The table of verdicts: every arm's value, ratio and verdict, and what they rest on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.results import units
from harness.results.comparison import LIMIT, Comparison, Gain


@dataclass(frozen=True)
class ArmCell:
    """What the verdict table says of an arm; empty texts are left out."""

    label: str
    value: str
    share: str = ""
    ratio: str = ""
    interval: str = ""
    verdict: str = ""


@dataclass(frozen=True)
class VerdictRow:
    """A line of the verdict table: a testbed and a family."""

    testbed: str
    family: str
    cells: tuple[ArmCell | None, ...]
    noise: str
    evidence: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class VerdictGroup:
    """The lines of one measure."""

    name: str
    better: str
    rows: tuple[VerdictRow, ...]


@dataclass(frozen=True)
class Gains:
    """Geometric means of speed-ups: (arm, baseline) by testbed."""

    testbeds: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[Gain | None, ...]], ...]


def pivoted(gains: Iterable[Gain]) -> Gains | None:
    """The gains of all arms but the limit; None: there are none."""
    found = {(g.arm, g.against, g.testbed): g for g in gains if g.arm != LIMIT}
    testbeds = tuple(dict.fromkeys(testbed for _, _, testbed in found))
    rows = tuple(
        (arm, against, tuple(found.get((arm, against, testbed)) for testbed in testbeds))
        for arm, against in dict.fromkeys((arm, against) for arm, against, _ in found)
    )
    return Gains(testbeds, rows) if rows else None


def by_measure(comparisons: Iterable[Comparison]) -> dict[str, list[Comparison]]:
    """Name of the measure → its comparisons."""
    found: dict[str, list[Comparison]] = {}
    for entry in comparisons:
        found.setdefault(entry.name, []).append(entry)
    return found


def groups(comparisons: Iterable[Comparison], arms: Sequence[str]) -> Iterator[VerdictGroup]:
    """The table, with a column for each of the arms."""
    for name, entries in by_measure(comparisons).items():
        rows = tuple(
            VerdictRow(
                entry.testbed, entry.family,
                tuple(_cell(entry, label) for label in arms),
                *_noise(entry),
                tuple(_notes(entry)),
            )
            for entry in entries
        )  # fmt: skip
        yield VerdictGroup(name, entries[0].better, rows)


def _cell(entry: Comparison, label: str) -> ArmCell | None:
    arm = entry.arms.get(label)
    if arm is None:
        return None
    share, found = entry.share_of_limit(label), entry.verdict_of(label)
    value = units.shown(arm.typical, entry.unit)
    if label == LIMIT:
        return ArmCell(label, value)
    limit = "" if share is None else units.share(share)
    if label == entry.baseline:
        return ArmCell(label, value, limit, verdict="baseline")
    if found is None:
        return ArmCell(label, value, limit, verdict="no verdict")
    return ArmCell(
        label, value, limit, units.ratio(found.ratio), units.interval(found.low, found.high),
        entry.conclusion(found),
    )  # fmt: skip


def _noise(entry: Comparison) -> tuple[str, str]:
    """The noise floor, and what the verdicts rest on."""
    judged = entry.judged
    if not judged:
        return "", ""
    values = dict.fromkeys(units.p_value(v.p_value) for v in judged)
    builds = units.count(min(v.builds for v in judged), "build")
    return units.noise(entry.noise), f"{builds}, p {', '.join(values)}"


def _notes(entry: Comparison) -> Iterator[str]:
    """What weakens it, and the measure's side figures."""
    if entry.partial:
        yield f"partial: {entry.partial}"
    yield from entry.without
    warned: dict[str, list[str]] = {}
    for found in entry.judged:
        for warning in found.warnings:
            warned.setdefault(warning, []).append(found.arm)
    for warning, arms in warned.items():
        yield f"{warning} ({', '.join(arms)})"
    sides = {label: arm.side_figures for label, arm in entry.shown_arms.items()}
    for name in dict.fromkeys(name for found in sides.values() for name in found):
        values = (f"{_side(name, found[name])} ({label})"
                  for label, found in sides.items() if name in found)  # fmt: skip
        yield f"{name.replace('_', ' ')}: {', '.join(values)}"


def _side(name: str, value: float) -> str:
    """A side figure; its name says what it counts, so only what is large takes a unit."""
    return units.shown(value, "bit/s") if name == "bits_per_second" else units.digits(value)
