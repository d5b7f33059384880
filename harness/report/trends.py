# SPDX-License-Identifier: Apache-2.0
"""Figures over the kernels, and from which to which they got better or worse. Floor 7."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from harness.report.model import LIMIT, Run

REPEATABLE = 0.002  # what exact mode promises: two runs of the same figure within 0.2 %
_MINIMUM = 0.01  # as a verdict's: a smaller change of a time is not worth a mark
BETTER, WORSE = "better", "worse"


@dataclass(frozen=True)
class Band:
    """A figure on one kernel, with its interval."""

    low: float
    typical: float
    high: float


@dataclass(frozen=True)
class Step:
    """A change from the kernel before, as a ratio with its interval; `mark` says if it counts."""

    ratio: float
    low: float
    high: float
    mark: str


@dataclass(frozen=True)
class Trend:
    """A figure over the kernels.

    Attributes:
        name: What was measured, where and how.
        unit: Of the bands.
        better: `lower` or `higher`.
        bands: Arm → one for each kernel, None where it was not measured.
        steps: Arm → one for each kernel; None for the first that has a band.
    """

    name: str
    unit: str
    better: str
    bands: dict[str, list[Band | None]]
    steps: dict[str, list[Step | None]]


def exact_trends(runs: Iterable[Run], kernels: Sequence[str]) -> list[Trend]:
    """Instructions on every kernel; the interval is where repeated runs lie."""
    found: dict[tuple[str, ...], dict[str, dict[str, list[float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for run in runs:
        for entry in run.exact:
            key = (entry.figure, entry.testbed, entry.family, entry.unit)
            found[key][entry.datapath][run.kernel].append(entry.value)
    trends = []
    for (figure, testbed, family, unit), arms in found.items():
        bands = {
            arm: [_spread(values.get(kernel, [])) for kernel in kernels]
            for arm, values in arms.items()
        }
        steps = {arm: _steps(line) for arm, line in bands.items()}
        trends.append(Trend(f"{figure} {testbed} {family}".strip(), unit, "lower", bands, steps))
    return trends


def _spread(values: Sequence[float]) -> Band | None:
    """Every value and, around it, as far as another run of the same may lie."""
    if not values:
        return None
    reach = 1 + REPEATABLE / 2
    return Band(min(values) / reach, median(values), max(values) * reach)


def _steps(bands: Sequence[Band | None]) -> list[Step | None]:
    steps: list[Step | None] = []
    before: Band | None = None
    for band in bands:
        step = None
        if band and before and before.low > 0:
            low, high = band.low / before.high, band.high / before.low
            step = _step(band.typical / before.typical, low, high, 0.0, "lower")
        steps.append(step)
        before = band or before
    return steps


def _step(ratio: float, low: float, high: float, margin: float, better: str) -> Step:
    """Marked if the whole interval lies beyond the margin."""
    mark = ""
    if high < 1 / (1 + margin) or low > 1 + margin:
        mark = BETTER if (high < 1) == (better == "lower") else WORSE
    return Step(ratio, low, high, mark)


def timed_trends(runs: Iterable[Run], kernels: Sequence[str]) -> list[Trend]:
    """Every measure's arms on every kernel. Only for runs that `refusal` has nothing against."""
    builds: dict[tuple[str, str, str, str, str], dict[str, dict[str, list[float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    noise: dict[tuple[str, str, str, str, str], float] = defaultdict(float)
    for run in runs:
        for entry in run.comparisons:
            key = (entry.name, entry.testbed, entry.family, entry.unit, entry.better)
            for arm in entry.shown_arms:
                if arm.label != LIMIT:
                    builds[key][arm.label][run.kernel] += arm.builds
            noise[key] = max([noise[key], *(v.noise or 0.0 for v in entry.verdicts)])
    trends = []
    for key, arms in builds.items():
        margin = max(noise[key], _MINIMUM)
        lines = {a: [values.get(kernel, []) for kernel in kernels] for a, values in arms.items()}
        trends.append(Trend(
            " ".join(key[:3]), key[3], key[4],
            {arm: [_band(values) for values in line] for arm, line in lines.items()},
            {arm: _timed_steps(line, margin, key[4]) for arm, line in lines.items()},
        ))  # fmt: skip
    return trends


def _band(values: Sequence[float]) -> Band | None:
    if not values:
        return None
    low, high = _interval(values)
    return Band(low, median(values), high)


def _timed_steps(line: Sequence[Sequence[float]], margin: float, better: str) -> list[Step | None]:
    steps: list[Step | None] = []
    before: Sequence[float] = ()
    for values in line:
        step = None
        if values and before and min(*values, *before) > 0:
            low, high = _interval(values, before)
            step = _step(median(values) / median(before), low, high, margin, better)
        steps.append(step)
        before = values or before
    return steps


def _interval(values: Sequence[float], before: Sequence[float] = ()) -> tuple[float, float]:
    """Percentile bootstrap (95 %) of the median, or of the ratio of two medians."""
    import numpy as np
    from scipy.stats import bootstrap  # type: ignore[import-untyped]  # ships no annotations

    if len(values) < 2 or len(before) == 1:
        one = median(values) / (median(before) if before else 1)
        return (one, one) if not before else (0.0, float("inf"))

    def statistic(*samples: Any, axis: int = -1) -> Any:
        first, *rest = (np.median(sample, axis=axis) for sample in samples)
        return first / rest[0] if rest else first

    data = (values, before) if before else (values,)
    found = bootstrap(data, statistic, vectorized=True, method="percentile", n_resamples=2000,
                      rng=np.random.default_rng(1))  # fmt: skip
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
