# SPDX-License-Identifier: Apache-2.0
"""The measured part of the page, a run at a time: verdicts, forest, distributions, growth.

Every figure has a table beside it that says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from statistics import mode

from markupsafe import Markup

from harness.report import units
from harness.report.figures.distribution import distribution
from harness.report.figures.forest import Row, forest
from harness.report.figures.growth import growth
from harness.report.figures.palette import looks
from harness.report.model import LIMIT, Comparison, Fit, Growth, Run
from harness.report.verdict_table import Means, VerdictGroup, by_measure, groups, pivoted
from harness.results.compare import NO_DIFFERENCE, PARTIAL


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption and the table that says the same."""

    drawing: Markup
    caption: str
    place: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Measured:
    """What a run measured, ready for the page. Figures may be missing: see `measured`."""

    run: Run
    arms: tuple[str, ...]
    judged: tuple[str, ...]
    grown: tuple[str, ...]
    groups: tuple[VerdictGroup, ...]
    means: Means | None
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
        groups=tuple(groups(run.comparisons, order)),
        means=pivoted(run.means),
        forests=tuple(_forests(run.comparisons, name)) if drawn else (),
        distributions=tuple(_distributions(run.comparisons, name)) if drawn else (),
        growth=tuple(_growth(curve, f"{name}-growth-{i}") for i, curve in enumerate(run.growth)
                     if drawn and any(curve.points.values())),
    )  # fmt: skip


def _forests(comparisons: Iterable[Comparison], name: str) -> Iterator[Figure]:
    """One for each testbed, direction and baseline.

    Ratios of times and of rates point opposite ways; and a measure that the run's baseline has not
    (legacy runs no program) is judged against the first arm that has it.
    """
    found = [c for c in comparisons if any(v.arm != LIMIT for v in c.verdicts)]
    usual = mode(c.baseline for c in found) if found else ""

    def order(entry: Comparison) -> tuple[object, ...]:
        return entry.testbed, entry.better != "lower", entry.baseline != usual, entry.baseline

    ordered = sorted(found, key=order)
    seen = looks(arm.label for c in found for arm in c.shown_arms)
    grouped = groupby(ordered, key=lambda c: (c.testbed, c.better, c.baseline))
    for number, ((testbed, better, against), entries) in enumerate(grouped):
        rows = [
            Row(group, f"{c.family} {v.arm}", seen[v.arm], v.ratio, v.low, v.high, v.noise,
                v.verdict not in (NO_DIFFERENCE, PARTIAL))
            for group, together in by_measure(entries).items()
            for c in together
            for v in c.verdicts
            if v.arm != LIMIT and v.ratio and v.low and v.high
        ]  # fmt: skip
        if rows:
            place = f"ratio to {against}, {better} is better"
            title = f"{testbed}: {place}"
            svg = forest(f"{name}-forest-{number}", rows, better, title, against)
            yield Figure(svg, testbed, place)


def _distributions(comparisons: Iterable[Comparison], name: str) -> Iterator[Figure]:
    wide = [entry for entry in comparisons if any(arm.quantiles for arm in entry.shown_arms)]
    for number, entry in enumerate(wide):
        place = f"{entry.testbed}, {entry.family}"
        drawing = distribution(f"{name}-ecdf-{number}", entry, f"{entry.name}, {place}")
        yield Figure(drawing, entry.name, place, *_percentiles(entry), _partly(entry.partial))


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
    place = f"over {curve.over}, {curve.testbed}, {curve.family}"
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
    svg, columns = growth(name, curve, f"{curve.name} {place}"), (curve.over, *curve.points)
    return Figure(svg, curve.name, place, columns, tuple(rows), _partly(curve.partial))


def _partly(partial: str) -> str:
    return f"partial: {partial}" if partial else ""


def _slope(fit: Fit | None, unit: str) -> str:
    """The growth for one more, with its interval, as in `0.0200 ns [0.0190, 0.0210]`."""
    ends = [fit.slope, fit.low, fit.high] if fit else []
    known = [end for end in ends if end is not None]
    if len(known) < 3:
        return units.shown(known[0] if known else None, unit)
    divisor, name = units.scaled(unit, max(map(abs, known)))
    slope, low, high = (units.digits(end / divisor) for end in known)
    return f"{slope}\N{NO-BREAK SPACE}{name} [{low}, {high}]"
