# SPDX-License-Identifier: Apache-2.0
"""The figures that are made of samples: one formula each, whoever shows them.

Values come as [build][round]. What is typical of an arm is the median over all its rounds. What it
is compared by is its builds, which are the unit of evidence (`harness.bench.rounds` says why): each
counts once, by the median of its rounds, or of its paired ratios.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Literal

from harness.plumbing.errors import TrafficError

Outcome = Literal["shown", "refuted", "inconclusive"]
SHOWN: Literal["shown"] = "shown"
REFUTED: Literal["refuted"] = "refuted"
INCONCLUSIVE: Literal["inconclusive"] = "inconclusive"
Builds = Sequence[Sequence[float]]
#: Fewer samples than this, and their 99.9th percentile is one outlier's.
MANY_SAMPLES = 1000
_PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}


def of_builds(values: Builds) -> list[float]:
    """For each build that has rounds the median over them."""
    return [median(rounds) for rounds in values if rounds]


def typical(values: Builds) -> float | None:
    """The median over the rounds of all builds; None: there is none."""
    flat = [value for rounds in values for value in rounds]
    return median(flat) if flat else None


def paired_ratios(first: Builds, second: Builds) -> list[float]:
    """For each build, the median over its rounds of first to second.

    Rounds are paired as they were interleaved, and the median is that of the logarithms: swapping
    the arms inverts it, also where the rounds are even in number.

    Args:
        first: The round's values of one arm.
        second: Those of the other, measured in the same rounds.

    Raises:
        TrafficError: A value is not a positive number.
    """
    for value in (value for arm in (first, second) for rounds in arm for value in rounds):
        if not (math.isfinite(value) and value > 0):
            raise TrafficError(f"a round's value is {value}, not a positive number")
    return [
        ratio_of(median(math.log(a) - math.log(b) for a, b in zip(rounds, others, strict=True)))
        for rounds, others in zip(first, second, strict=True)
    ]


def centre(ratios: Iterable[float]) -> float:
    """The median of ratios, by their logarithms."""
    return ratio_of(median(map(math.log, ratios)))


def ratio_of(logarithm: float) -> float:
    """A ratio; of numbers that no machine measures, infinity."""
    return math.exp(logarithm) if logarithm < 700 else math.inf


def speed_up(ratio: float, better: str) -> float:
    """How many times as fast: a ratio of values, turned so that more is better."""
    return 1 / ratio if better == "lower" else ratio


def told(low: float, high: float, centre: float, noise: float, least: float) -> Outcome:
    """Whether there is a gain of at least so much: shown, refuted, or not to be told.

    Everything is the logarithm of a gain, more than 0 being better.

    Args:
        low: Lower end of the gain's interval.
        high: Upper end.
        centre: The gain itself.
        noise: How far from 0 that of A against A may be: a gain that is no farther is no evidence,
            unless the noise is less than what is asked for.
        least: The gain asked for; less than 0: a loss that would still do.
    """
    if noise > abs(least) and abs(centre) <= noise:
        return INCONCLUSIVE
    if low > least:
        return SHOWN
    return REFUTED if high < least else INCONCLUSIVE


def percentiles(samples: Sequence[float]) -> dict[str, float]:
    """p50, p90, p99 and p99.9, linear between two samples; nothing if the samples are few."""
    import numpy

    if len(samples) < MANY_SAMPLES:
        return {}
    found = numpy.quantile(samples, list(_PERCENTILES.values()))
    return {name: float(value) for name, value in zip(_PERCENTILES, found, strict=True)}


def reached(samples: Sequence[float], shares: Iterable[float]) -> list[tuple[float, float]]:
    """Points of the samples' distribution: share → the sample that so many do not exceed."""
    ordered, many = sorted(samples), len(samples)
    return [(share, ordered[math.ceil(share * many) - 1]) for share in shares]
