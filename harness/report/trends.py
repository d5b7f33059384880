# SPDX-License-Identifier: Apache-2.0
"""Figures over the kernels, and from which to which they got better or worse.

Whether a change counts is decided where `hostroute results gate` decides it, in `harness.results`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from harness.results import units
from harness.results.compare import EXACT_NOISE, Change, changes
from harness.results.comparison import FASTER, LIMIT, NO_DIFFERENCE, PARTIAL
from harness.results.run import Run

BETTER, WORSE = "better", "worse"


@dataclass(frozen=True)
class Band:
    """A figure on one kernel: what is typical, and the range of its builds or repetitions."""

    low: float
    typical: float
    high: float


@dataclass(frozen=True)
class Step:
    """A change from a kernel before.

    Attributes:
        before: Which one, as a position among the kernels.
        ratio: New to old.
        low: Lower end of its interval.
        high: Upper end.
        mark: Better or worse if it counts; else empty.
    """

    before: int
    ratio: float
    low: float
    high: float
    mark: str


@dataclass
class Trend:
    """A figure over the kernels.

    Attributes:
        what: What was measured.
        place: On which testbed and over which family.
        unit: Of the bands.
        bands: Arm → one for each kernel, None where it was not measured.
        steps: Arm, or `arm to baseline` → one for each kernel, None where there is none before.
    """

    what: str
    place: str
    unit: str
    bands: dict[str, list[Band | None]] = field(default_factory=dict)
    steps: dict[str, list[Step | None]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The whole of it."""
        return f"{self.what}, {self.place}"

    def step(self, arm: str, at: int) -> Step | None:
        """The arm's change to that kernel, if one is known."""
        return self.steps[arm][at] if arm in self.steps else None

    def change(self, arm: str, at: int) -> str:
        """The same in words, to stand behind a value."""
        step = self.step(arm, at)
        if step is None:
            return ""
        return f" ({units.change(step.ratio)}{f', {step.mark}' if step.mark else ''})"


def exact_trends(runs: Iterable[Run], kernels: Sequence[str]) -> list[Trend]:
    """Instructions on every kernel; a band is where another run of the same would lie.

    A step counts only where both its sides were counted at one commit: else the programs may be
    what changed.
    """
    commits: dict[str, set[str]] = defaultdict(set)
    found: dict[tuple[str, str, str], dict[str, dict[str, list[float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for run in runs:
        for entry in run.exact:
            key = (entry.figure, f"{entry.testbed}, {entry.family}", entry.unit)
            found[key][entry.datapath][run.kernel].append(entry.value)
            commits[run.kernel].add(run.source)
    sources = [commits[kernel] for kernel in kernels]
    trends = []
    for key, arms in found.items():
        trend = Trend(*key)
        for arm, values in arms.items():
            trend.bands[arm] = [_spread(values.get(kernel, [])) for kernel in kernels]
            trend.steps[arm] = _exact_steps(trend.bands[arm], sources)
        trends.append(trend)
    return trends


def _spread(values: Sequence[float]) -> Band | None:
    """Two runs of the same figure differ by no more than EXACT_NOISE."""
    if not values:
        return None
    reach = 1 + EXACT_NOISE / 2
    return Band(min(values) / reach, median(values), max(values) * reach)


def _exact_steps(bands: Sequence[Band | None], sources: Sequence[set[str]]) -> list[Step | None]:
    steps: list[Step | None] = []
    before = -1
    for at, band in enumerate(bands):
        old, step = bands[before] if before >= 0 else None, None
        if band and old and old.low > 0:
            low, high = band.low / old.high, band.high / old.low
            mark = BETTER if high < 1 else WORSE if low > 1 else ""
            if len(sources[before] | sources[at]) > 1:
                mark = ""
            step = Step(before, band.typical / old.typical, low, high, mark)
        steps.append(step)
        before = at if band else before
    return steps


def timed_trends(runs: Sequence[Run], kernels: Sequence[str]) -> list[Trend]:
    """Every measure's arms on every kernel, of the newest run on each.

    Only for runs that `harness.report.kernels.refusal` has nothing against.
    """
    newest = {kernels.index(run.kernel): run for run in runs if run.comparisons}
    trends: dict[str, Trend] = {}
    for at, run in newest.items():
        for entry in run.comparisons:
            place = f"{entry.testbed}, {entry.family}"
            trend = trends.setdefault(entry.full_name, Trend(entry.name, place, entry.unit))
            for label, arm in entry.shown_arms.items():
                if label != LIMIT and arm.typical is not None:
                    bands = trend.bands.setdefault(label, [None] * len(kernels))
                    bands[at] = Band(min(arm.builds), arm.typical, max(arm.builds))
    for before, at in pairwise(sorted(newest)):
        for change in changes(newest[before], newest[at]):
            if change.what in trends and change.arm != LIMIT:
                label = f"{change.arm} to {change.against}" if change.against else change.arm
                steps = trends[change.what].steps.setdefault(label, [None] * len(kernels))
                steps[at] = _step(before, change)
    return [trend for trend in trends.values() if trend.bands]


def _step(before: int, change: Change) -> Step:
    mark = {NO_DIFFERENCE: "", PARTIAL: "", FASTER: BETTER}.get(change.verdict, WORSE)
    return Step(before, change.ratio, change.low, change.high, mark)
