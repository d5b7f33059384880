# SPDX-License-Identifier: Apache-2.0
"""The measured part of the page, a run at a time: verdicts, forest, distributions, growth. Floor 7.

Every figure has a table beside it that says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from harness.report import units
from harness.report.figures.distribution import distribution
from harness.report.figures.forest import Row, forest
from harness.report.figures.growth import growth
from harness.report.figures.palette import looks
from harness.report.model import LIMIT, NO_DIFFERENCE, Arm, Comparison, Fit, Growth, Mean, Run


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption and the table that says the same."""

    drawing: Markup
    caption: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


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
class Measured:
    """What a run measured, ready for the page. Figures may be missing: see `measured`."""

    run: Run
    arms: tuple[str, ...]
    judged: tuple[str, ...]
    grown: tuple[str, ...]
    groups: tuple[VerdictGroup, ...]
    means: tuple[Mean, ...]
    forests: tuple[Figure, ...]
    distributions: tuple[Figure, ...]
    growth: tuple[Figure, ...]


def measured(run: Run, name: str, drawn: bool) -> Measured:
    """Everything that a run measured.

    Args:
        run: The run.
        name: What the ids of its figures start with.
        drawn: Whether to draw; the tables are there in any case.
    """
    arms = dict.fromkeys(arm.label for entry in run.comparisons for arm in entry.shown_arms)
    order = sorted(arms, key=lambda label: label == LIMIT)
    return Measured(
        run=run,
        arms=tuple(order),
        judged=tuple(
            label for label in order
            if label != LIMIT and any(entry.verdict_of(label) for entry in run.comparisons)
        ),
        grown=tuple(dict.fromkeys(label for curve in run.growth for label in curve.points)),
        groups=tuple(_groups(run.comparisons, order)),
        means=tuple(mean for mean in run.means if mean.arm != LIMIT),
        forests=tuple(_forests(run.comparisons, name)) if drawn else (),
        distributions=tuple(_distributions(run.comparisons, name)) if drawn else (),
        growth=tuple(_growth(curve, f"{name}-growth-{i}") for i, curve in enumerate(run.growth)
                     if drawn and any(curve.points.values())),
    )  # fmt: skip


def _by_measure(comparisons: Iterable[Comparison]) -> dict[str, list[Comparison]]:
    found: dict[str, list[Comparison]] = {}
    for entry in comparisons:
        found.setdefault(entry.name, []).append(entry)
    return found


def _groups(comparisons: Iterable[Comparison], arms: Sequence[str]) -> Iterator[VerdictGroup]:
    for name, entries in _by_measure(comparisons).items():
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
        values = (f"{units.digits(arm.extra[name])} ({arm.label})"
                  for arm in entry.shown_arms if name in arm.extra)  # fmt: skip
        yield f"{name.replace('_', ' ')}: {', '.join(values)}"


def _forests(comparisons: Iterable[Comparison], name: str) -> Iterator[Figure]:
    """One for each testbed and direction: ratios of times and of rates point opposite ways."""
    found = [c for c in comparisons if any(v.arm != LIMIT for v in c.verdicts)]
    ordered = sorted(found, key=lambda c: (c.testbed, c.better != "lower"))
    seen = looks(arm.label for c in found for arm in c.shown_arms)
    grouped = groupby(ordered, key=lambda c: (c.testbed, c.better))
    for number, ((testbed, better), entries) in enumerate(grouped):
        rows = [
            Row(group, f"{c.family} {v.arm}", seen[v.arm], v.ratio, v.low, v.high, v.noise,
                v.verdict != NO_DIFFERENCE)
            for group, together in _by_measure(entries).items()
            for c in together
            for v in c.verdicts
            if v.arm != LIMIT and v.ratio
        ]  # fmt: skip
        if rows:
            against = next(c.baseline for c in ordered if c.testbed == testbed)
            title = f"{testbed}: ratio to {against}, {better} is better"
            yield Figure(forest(f"{name}-forest-{number}", rows, better, title, against), title)


def _distributions(comparisons: Iterable[Comparison], name: str) -> Iterator[Figure]:
    wide = [entry for entry in comparisons if any(arm.quantiles for arm in entry.shown_arms)]
    for number, entry in enumerate(wide):
        title = f"{entry.name}, {entry.testbed} {entry.family}"
        drawing = distribution(f"{name}-ecdf-{number}", entry, title)
        yield Figure(drawing, title, *_percentiles(entry))


def _percentiles(entry: Comparison) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    arms = [arm for arm in entry.shown_arms if arm.quantiles]
    keys = list(dict.fromkeys(key for arm in arms for key in arm.percentiles))
    largest = max((v for arm in arms for v in arm.percentiles.values() if v), default=1.0)
    divisor, unit = units.scaled(entry.unit, largest)
    rows = tuple(
        (arm.label, *(_plain(arm.percentiles.get(key), divisor) for key in keys)) for arm in arms
    )
    return (unit, *keys), rows


def _plain(value: float | None, divisor: float) -> str:
    return units.shown(None, "") if value is None else units.digits(value / divisor)


def _growth(curve: Growth, name: str) -> Figure:
    title = f"{curve.name} over {curve.over}, {curve.testbed}, {curve.family}"
    caption = f"{title} (partial: {curve.partial})" if curve.partial else title
    sizes = sorted({point.x for points in curve.points.values() for point in points})
    rows = []
    for size in sizes:
        at = [next((p for p in points if p.x == size), None) for points in curve.points.values()]
        rows.append(
            (units.grouped(size), *(units.shown(p.typical if p else None, curve.unit) for p in at))
        )
    fits = [curve.fits.get(label) for label in curve.points]
    rows.append(("growth", *(fit.model if fit else "not fitted" for fit in fits)))
    one = curve.over.removesuffix("s")
    rows.append((f"for each {one}", *(_slope(fit, curve.unit) for fit in fits)))
    return Figure(growth(name, curve, title), caption, (curve.over, *curve.points), tuple(rows))


def _slope(fit: Fit | None, unit: str) -> str:
    """The growth for one more, with its interval, as in `0.0200 ns [0.0190, 0.0210]`."""
    ends = [fit.slope, fit.low, fit.high] if fit else []
    known = [end for end in ends if end is not None]
    if len(known) < 3:
        return units.shown(known[0] if known else None, unit)
    divisor, name = units.scaled(unit, max(map(abs, known)))
    slope, low, high = (units.digits(end / divisor) for end in known)
    return f"{slope}\N{NO-BREAK SPACE}{name} [{low}, {high}]"
