# SPDX-License-Identifier: Apache-2.0
"""The table of verdicts: every arm's value, ratio and verdict, and what they rest on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.report import units
from harness.report.model import LIMIT, Arm, Comparison, Mean


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
class Means:
    """Geometric means of speed-ups: (arm, baseline) by testbed."""

    testbeds: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[Mean | None, ...]], ...]


def pivoted(means: Iterable[Mean]) -> Means | None:
    """The means of all arms but the limit; None: there are none."""
    found = {(m.arm, m.against, m.testbed): m for m in means if m.arm != LIMIT}
    testbeds = tuple(dict.fromkeys(testbed for _, _, testbed in found))
    rows = tuple(
        (arm, against, tuple(found.get((arm, against, testbed)) for testbed in testbeds))
        for arm, against in dict.fromkeys((arm, against) for arm, against, _ in found)
    )
    return Means(testbeds, rows) if rows else None


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
                tuple(_cell(entry, entry.arms.get(label)) for label in arms),
                *_noise(entry),
                tuple(_notes(entry)),
            )
            for entry in entries
        )  # fmt: skip
        yield VerdictGroup(name, entries[0].better, rows)


def _cell(entry: Comparison, arm: Arm | None) -> ArmCell | None:
    if arm is None:
        return None
    share, found = entry.share_of_limit(arm), entry.verdict_of(arm.label)
    value = units.shown(arm.typical, entry.unit)
    if arm.label == LIMIT:
        return ArmCell(arm.label, value)
    limit = "" if share is None else units.share(share)
    if arm.label == entry.baseline:
        return ArmCell(arm.label, value, limit, verdict="baseline")
    if found is None:
        return ArmCell(arm.label, value, limit, verdict="no verdict")
    return ArmCell(
        arm.label, value, limit, units.ratio(found.ratio), units.interval(found.low, found.high),
        found.verdict,
    )  # fmt: skip


def _noise(entry: Comparison) -> tuple[str, str]:
    """The noise floor, and what the verdicts rest on."""
    judged = [found for found in entry.verdicts if found.arm != LIMIT]
    if not judged:
        return "", ""
    noise = max((v.noise for v in judged if v.noise is not None), default=None)
    floor = "unknown" if noise is None else f"±{units.share(noise, 1)}"
    values = dict.fromkeys("unknown" if v.p_value is None else f"{v.p_value:.2g}" for v in judged)
    return floor, f"{units.count(min(v.builds for v in judged), 'build')}, p {', '.join(values)}"


def _notes(entry: Comparison) -> Iterator[str]:
    """What weakens it, and the measure's side figures."""
    if entry.partial:
        yield f"partial: {entry.partial}"
    warned: dict[str, list[str]] = {}
    for found in entry.verdicts:
        for warning in found.warnings if found.arm != LIMIT else ():
            warned.setdefault(warning, []).append(found.arm)
    for warning, arms in warned.items():
        yield f"{warning} ({', '.join(arms)})"
    for name in dict.fromkeys(name for arm in entry.shown_arms for name in arm.extra):
        values = (f"{_side(name, arm.extra[name])} ({arm.label})"
                  for arm in entry.shown_arms if name in arm.extra)  # fmt: skip
        yield f"{name.replace('_', ' ')}: {', '.join(values)}"


def _side(name: str, value: float) -> str:
    """A side figure; its name says what it counts, so only what is large takes a unit."""
    return units.shown(value, "bit/s") if name == "bits_per_second" else units.digits(value)
