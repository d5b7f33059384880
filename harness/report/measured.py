# SPDX-License-Identifier: Apache-2.0
"""The measured part of the page, a run at a time: verdicts, forest, distributions, growth.

Every figure has a table beside it that says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from statistics import mode

from markupsafe import Markup

from harness.report.figures.distribution import distribution
from harness.report.figures.forest import Row, forest
from harness.report.figures.growth import growth
from harness.report.figures.palette import looks
from harness.report.model import Digest, Distribution
from harness.report.verdict_table import Gains, VerdictGroup, by_measure, groups, pivoted
from harness.results import units
from harness.results.comparison import LIMIT, NO_DIFFERENCE, PARTIAL, Comparison
from harness.results.growth import Fit, Growth
from harness.results.run import Run


@dataclass(frozen=True)
class Drawing:
    """A drawing with its caption and the table that says the same."""

    svg: Markup
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
    gains: Gains | None
    forests: tuple[Drawing, ...]
    distributions: tuple[Drawing, ...]
    growth: tuple[Drawing, ...]


def measured(digest: Digest, name: str, drawn: bool) -> Measured:
    """Everything that a run measured.

    Args:
        digest: The run.
        name: What the ids of its figures start with.
        drawn: Whether to draw; the tables are there in any case.
    """
    run = digest.run
    arms = dict.fromkeys(label for entry in run.comparisons for label in entry.shown_arms)
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
        gains=pivoted(run.summary),
        forests=tuple(_forests(run.comparisons, name)) if drawn else (),
        distributions=tuple(_distributions(digest, name)) if drawn else (),
        growth=tuple(_growth(curve, f"{name}-growth-{i}") for i, curve in enumerate(run.growth)
                     if drawn and curve.sizes),
    )  # fmt: skip


def _forests(comparisons: Iterable[Comparison], name: str) -> Iterator[Drawing]:
    """One for each testbed, direction and baseline.

    Ratios of times and of rates point opposite ways; and a measure that the run's baseline has not
    (legacy runs no program) is judged against the first arm that has it.
    """
    found = [c for c in comparisons if c.judged]
    usual = mode(c.baseline for c in found) if found else ""

    def order(entry: Comparison) -> tuple[object, ...]:
        return entry.testbed, entry.better != "lower", entry.baseline != usual, entry.baseline

    ordered = sorted(found, key=order)
    seen = looks(label for c in found for label in c.shown_arms)
    grouped = groupby(ordered, key=lambda c: (c.testbed, c.better, c.baseline))
    for number, ((testbed, better, against), entries) in enumerate(grouped):
        rows = [
            Row(group, f"{c.family} {v.arm}", seen[v.arm], v.ratio, v.low, v.high, v.noise,
                c.conclusion(v) not in (NO_DIFFERENCE, PARTIAL))
            for group, together in by_measure(entries).items()
            for c in together
            for v in c.judged
            if v.ratio and v.low and v.high
        ]  # fmt: skip
        if rows:
            place = f"ratio to {against}, {better} is better"
            title = f"{testbed}: {place}"
            svg = forest(f"{name}-forest-{number}", rows, better, title, against)
            yield Drawing(svg, testbed, place)


def _distributions(digest: Digest, name: str) -> Iterator[Drawing]:
    wide = [
        (entry, shown)
        for entry, samples in zip(digest.run.comparisons, digest.distributions, strict=True)
        if (shown := {label: samples[label] for label in entry.shown_arms
                      if samples[label].quantiles})
    ]  # fmt: skip
    for number, (entry, samples) in enumerate(wide):
        place = f"{entry.testbed}, {entry.family}"
        title = f"{entry.name}, {place}"
        drawing = distribution(f"{name}-ecdf-{number}", entry, samples, title)
        rows = _percentiles(entry, samples)
        yield Drawing(drawing, entry.name, place, *rows, _partly(entry.partial))


def _percentiles(
    entry: Comparison, samples: Mapping[str, Distribution]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    arms = {label: entry.arms[label].percentiles for label in samples}
    keys = list(dict.fromkeys(key for found in arms.values() for key in found))
    largest = max((v for found in arms.values() for v in found.values()), default=1.0)
    divisor, unit = units.scaled(entry.unit, largest)
    rows = tuple(
        (label, *(_plain(found.get(key), divisor) for key in keys)) for label, found in arms.items()
    )
    return (unit, *keys), rows


def _plain(value: float | None, divisor: float) -> str:
    return units.shown(None, "") if value is None else units.digits(value / divisor)


def _growth(curve: Growth, name: str) -> Drawing:
    place = f"over {curve.over}, {curve.testbed}, {curve.family}"
    rows = []
    for size in curve.sizes:
        at = [curve.at(label, size) for label in curve.points]
        shown = (units.shown(point.typical if point else None, curve.unit) for point in at)
        rows.append((units.grouped(size), *shown))
    fits = [curve.fits.get(label) for label in curve.points]
    rows.append(("growth", *(fit.model if fit else "not fitted" for fit in fits)))
    rows.append((f"for each {curve.one}", *(_slope(fit, curve.unit) for fit in fits)))
    svg, columns = growth(name, curve, f"{curve.name} {place}"), (curve.over, *curve.points)
    return Drawing(svg, curve.name, place, columns, tuple(rows), _partly(curve.partial))


def _partly(partial: str | None) -> str:
    return f"partial: {partial}" if partial else ""


def _slope(fit: Fit | None, unit: str) -> str:
    """The growth for one more, with its interval, as in `0.0200 ns [0.0190, 0.0210]`."""
    return units.estimate(fit.slope, fit.low, fit.high, unit) if fit else units.shown(None, unit)
