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
from statistics import fmean, median, quantiles

from harness.results.comparison import ALL, Comparison, Gain
from harness.results.formulas import speed_up

_RESAMPLES = 1000
_SEED = 1


def speed_ups(comparison: Comparison, label: str) -> list[float]:
    """For each build, how many times as fast as the baseline; the logarithm of it."""
    ratios = comparison.arms[label].ratios_to(comparison.arms[comparison.baseline])
    return [math.log(speed_up(ratio, comparison.better)) for ratio in ratios]


def summarise(comparisons: Sequence[Comparison]) -> list[Gain]:
    """The gain of every arm on every testbed, and over all testbeds if there are several.

    Partial comparisons stay out.
    """
    found: dict[tuple[str, str], dict[str, list[list[float]]]] = defaultdict(dict)
    for comparison in comparisons:
        if comparison.partial is None:
            for verdict in comparison.judged:
                beds = found[verdict.arm, verdict.against]
                beds.setdefault(comparison.testbed, []).append(speed_ups(comparison, verdict.arm))
    gains = []
    for (arm, against), beds in found.items():
        groups = {bed: {bed: logs} for bed, logs in beds.items()}
        if len(beds) > 1:
            groups[ALL] = beds
        gains += [_gain(arm, against, bed, group) for bed, group in groups.items()]
    return gains


def _gain(arm: str, against: str, testbed: str, beds: dict[str, list[list[float]]]) -> Gain:
    """The mean and its interval, of testbed → [comparison][build]."""
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
    return Gain(
        arm=arm, against=against, testbed=testbed, gain=math.exp(centre), low=math.exp(cuts[0]),
        high=math.exp(cuts[-1]), measures=len(everything),
    )  # fmt: skip
