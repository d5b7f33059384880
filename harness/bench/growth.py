# SPDX-License-Identifier: Apache-2.0
"""Growth: a measure against the number of pods on the node, or of services in rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Literal

from harness.bench.arms import Arm
from harness.bench.series import Task
from harness.bench.verdict import Criteria
from harness.results.comparison import Built, known
from harness.results.growth import CONSTANT, LINEAR, Fit, Growth, Over, Point
from harness.results.part import family_name

#: Builds of every point below which a slope's interval says nothing.
FEWEST_BUILDS = 3


def _with_pods(arm: Arm, pods: int) -> Arm:
    more = pods - arm.topology.pods_per_node
    return replace(arm, topology=replace(arm.topology, more_pods=more))


def _with_services(arm: Arm, services: int) -> Arm:
    return replace(arm, settings=replace(arm.settings, legacy_services=services))


@dataclass(frozen=True)
class Axis:
    """What a curve runs over.

    Attributes:
        over: What is counted.
        points: How many of them, for a run of minutes.
        all_points: With those that take long to build.
        at: The arm with so many.
    """

    over: Over
    points: tuple[int, ...]
    all_points: tuple[int, ...]
    at: Callable[[Arm, int], Arm]


AXES: dict[str, Axis] = {
    axis.over: axis
    for axis in (
        Axis("pods", (1, 10, 100), (1, 10, 100, 1000), _with_pods),
        Axis("services", (0, 100, 1000), (0, 100, 1000, 10_000), _with_services),
    )
}


def fit(points: Mapping[int, Sequence[float]], criteria: Criteria | None = None) -> Fit | None:
    """Fit a line, by the Theil-Sen estimator with Sen's interval of its slope (scipy.stats).

    Robust: a build gone astray does not bend it, and no normal errors are asked for. It is linear
    if the interval excludes 0 and the line rises or falls by more than the minimum effect over the
    points' range; constant otherwise.

    Args:
        points: How many of what is counted → the builds' values.
        criteria: What growth is worth the name.

    Returns:
        The fit; None if there are fewer than two points, or fewer than three builds of one.
    """
    from scipy.stats import theilslopes  # type: ignore[import-untyped]  # ships no annotations

    pairs = [(x, value) for x, values in points.items() for value in values]
    if len(points) < 2 or min(map(len, points.values())) < FEWEST_BUILDS:
        return None
    found = theilslopes([value for _, value in pairs], [x for x, _ in pairs], method="joint")
    slope, low, high = float(found.slope), float(found.low_slope), float(found.high_slope)
    rise = abs(slope) * (max(points) - min(points))
    least = (criteria or Criteria()).minimum_effect * abs(found.intercept)
    if (low > 0 or high < 0) and rise > least:
        return _fit(LINEAR, float(found.intercept), slope, low, high)
    return _fit(CONSTANT, median(value for _, value in pairs), slope, low, high)


def _fit(
    model: Literal["constant", "linear"], intercept: float, slope: float, low: float, high: float
) -> Fit:
    return Fit(model=model, intercept=known(intercept), slope=known(slope), low=known(low),
               high=known(high))  # fmt: skip


@dataclass
class Curve:
    """A measure's growth while it is measured, for every arm.

    Of a rate, what is drawn is the time of one: if each service costs a packet the same time, that
    is what grows in a line.

    Attributes:
        task: What was measured.
        over: What was counted.
        testbed: Where.
        points: Label → how many → a value for each build, in the unit of what is drawn.
        partial: Why it did not come to its end; None: it did, or has not yet.
        arms: Label → what was asked for and what was built at the first point.
        inapplicable: Label of an arm that the measure does not apply to → why.
        given_up: Whether it is partial for want of time alone.
    """

    task: Task
    over: Over
    testbed: str
    points: dict[str, dict[int, list[float]]] = field(default_factory=dict)
    partial: str | None = None
    arms: dict[str, Built] = field(default_factory=dict)
    inapplicable: dict[str, str] = field(default_factory=dict)
    given_up: bool = False

    @property
    def _rate(self) -> bool:
        return self.task.measure.better == "higher"

    def add(self, label: str, x: int, value: float) -> None:
        """Take a build's value, in the measure's unit."""
        drawn = 1e9 / value if self._rate else value
        self.points.setdefault(label, {}).setdefault(x, []).append(drawn)

    def growth(self) -> Growth:
        """It, for a record."""
        measure = self.task.measure
        fits = {label: fit(points) for label, points in self.points.items()}
        return Growth(
            measure=self.task.key,
            title=f"{measure.name}: time of one" if self._rate else measure.name,
            described=measure.describe(),
            unit="ns" if self._rate else measure.unit,
            better="lower",
            testbed=self.testbed,
            family=family_name(self.task.family),
            over=self.over,
            points={
                label: [Point(x=x, values=values) for x, values in sorted(points.items())]
                for label, points in self.points.items()
            },
            fits={label: fitted for label, fitted in fits.items() if fitted is not None},
            arms={label: arm for label, arm in self.arms.items() if label in self.points},
            partial=self.partial,
            given_up=self.given_up,
            inapplicable={at: self.inapplicable[at] for at in self.arms if at in self.inapplicable},
        )
