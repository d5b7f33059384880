# SPDX-License-Identifier: Apache-2.0
"""The part of the page that goes from kernel to kernel."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.report import conformance, kernels, trends
from harness.report.figures.trend import trend
from harness.report.measured import Drawing
from harness.report.model import Report
from harness.report.trends import WORSE, Trend
from harness.results import units


@dataclass(frozen=True)
class MarkedStep:
    """A step from one kernel to the next that counts; `size` is that of its logarithm."""

    name: str
    arm: str
    before: str
    after: str
    change: str
    interval: str
    size: float
    mark: str


@dataclass(frozen=True)
class Part:
    """Figures that may be set side by side, and what changed in them."""

    arms: tuple[str, ...]
    figures: tuple[Drawing, ...]
    changes: tuple[MarkedStep, ...]


def over_kernels(
    report: Report, names: Sequence[str], called: Mapping[str, str]
) -> dict[str, object]:
    """What differs between kernels: behaviour, instructions and, where it is fair, times."""
    timed = [run for run in report.runs if run.comparisons]
    several = len(kernels.kernels_of(timed)) > 1
    refused = kernels.refusal(timed) if several else ""
    times = trends.timed_trends(timed, names) if several and not refused else []
    short = [called[name] for name in names]
    return {
        "differences": kernels.observations(conformance.seen_by(report.runs), names),
        "exact": _part(trends.exact_trends(report.runs, names), short, "exact"),
        "times": _part(times, short, "times"),
        "refused": refused,
    }


def _part(found: Sequence[Trend], short: Sequence[str], prefix: str) -> Part | None:
    if not found:
        return None
    return Part(
        arms=tuple(dict.fromkeys(arm for entry in found for arm in entry.bands)),
        figures=tuple(
            Drawing(
                trend(f"{prefix}-{number}", entry, short),
                entry.what,
                entry.place,
                *_table(entry, short),
            )
            for number, entry in enumerate(found)
        ),
        changes=tuple(
            sorted(
                (change for entry in found for change in _changes(entry, short)),
                key=lambda change: (change.mark != WORSE, -change.size),
            )
        ),
    )


def _table(
    entry: Trend, short: Sequence[str]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """A line for each kernel: every arm's value and its change."""
    largest = max(band.typical for bands in entry.bands.values() for band in bands if band)
    divisor, unit = units.scaled(entry.unit, largest)
    rows = tuple(
        (kernel, *(_cell(entry, arm, at, divisor) for arm in entry.bands))
        for at, kernel in enumerate(short)
    )
    return (unit, *entry.bands), rows


def _cell(entry: Trend, arm: str, at: int, divisor: float) -> str:
    band = entry.bands[arm][at]
    if band is None:
        return "not measured"
    return units.digits(band.typical / divisor) + entry.change(arm, at)


def _changes(entry: Trend, short: Sequence[str]) -> Iterable[MarkedStep]:
    for arm, steps in entry.steps.items():
        for at, step in enumerate(steps):
            if step and step.mark:
                yield MarkedStep(
                    entry.name, arm, short[step.before], short[at], units.change(step.ratio),
                    f"[{units.change(step.low)}, {units.change(step.high)}]",
                    abs(math.log(step.ratio)) if step.ratio > 0 else math.inf, step.mark,
                )  # fmt: skip
