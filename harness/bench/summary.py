# SPDX-License-Identifier: Apache-2.0
"""One number for many measures: the geometric mean of the speed-ups, with its interval.

A geometric mean, because speed-ups are ratios: swapping the arms inverts it (Fleming and Wallace,
Comm. ACM 29, 1986, 218-221). The interval comes from a bootstrap that draws whole builds, one
number for all measures of a testbed: they were measured on the same built arms, so that what one
build did to one of them it may have done to all.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median, quantiles

from harness.bench.comparison import Comparison
from harness.bench.verdict import paired_ratios

ALL = "all"
_RESAMPLES = 1000
_SEED = 1


@dataclass(frozen=True)
class Gain:
    """How much better an arm is, over many measures.

    Attributes:
        arm: Its label.
        against: The label of the arm it is compared with.
        testbed: The testbed's name, or `all`.
        gain: Geometric mean of the speed-ups; more than 1 is better.
        low: Lower end of its interval at 0.95.
        high: Upper end.
        measures: How many comparisons went into it.
    """

    arm: str
    against: str
    testbed: str
    gain: float
    low: float
    high: float
    measures: int

    def to_json(self) -> dict[str, object]:
        """For a record."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.gain:.2f} [{self.low:.2f}, {self.high:.2f}] times {self.against}"


def speed_ups(comparison: Comparison, arm: str) -> list[float]:
    """For each build, how many times as fast as the baseline; the logarithm of it."""
    ratios = paired_ratios(comparison.arms[arm].values, comparison.arms[comparison.baseline].values)
    sign = -1 if comparison.measure.better == "lower" else 1
    return [sign * math.log(ratio) for ratio in ratios]


def summarise(comparisons: Sequence[Comparison]) -> list[Gain]:
    """The gain of every arm on every testbed, and over all testbeds if there are several.

    Partial comparisons stay out.
    """
    found: dict[tuple[str, str], dict[str, list[list[float]]]] = defaultdict(dict)
    for comparison in comparisons:
        if comparison.partial is None:
            for arm in comparison.judgements:
                beds = found[arm, comparison.baseline]
                beds.setdefault(comparison.testbed, []).append(speed_ups(comparison, arm))
    gains = []
    for (arm, against), beds in found.items():
        groups = {bed: {bed: logs} for bed, logs in beds.items()}
        if len(beds) > 1:
            groups[ALL] = beds
        gains += [Gain(arm, against, bed, *_mean(group)) for bed, group in groups.items()]
    return gains


def _mean(beds: dict[str, list[list[float]]]) -> tuple[float, float, float, int]:
    """The mean, its interval, and how many comparisons: testbed → [comparison][build]."""
    everything = [logs for group in beds.values() for logs in group]
    centre = fmean(median(logs) for logs in everything)
    chance = random.Random(_SEED)
    means = []
    for _ in range(_RESAMPLES):
        medians = []
        for group in beds.values():
            builds = max(map(len, group))
            drawn = chance.choices(range(builds), k=builds)
            for logs in group:
                # A measure that was settled sooner has only the first builds.
                held = [logs[at] for at in drawn if at < len(logs)]
                medians.append(median(held or logs))
        means.append(fmean(medians))
    cuts = quantiles(means, n=40, method="inclusive")
    return math.exp(centre), math.exp(cuts[0]), math.exp(cuts[-1]), len(everything)
