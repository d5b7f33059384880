# SPDX-License-Identifier: Apache-2.0
"""The verdict: paired ratios, a rank test, an interval, and the noise it must exceed. Floor 7.

Pure, and symmetric in the two arms: everything is computed on logarithms of ratios.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Literal

from harness.errors import TrafficError

Better = Literal["lower", "higher"]


class Verdict(StrEnum):
    """What a comparison concludes of its first arm."""

    FASTER = "faster"
    SLOWER = "slower"
    NO_DIFFERENCE = "no difference found"


@dataclass(frozen=True)
class Criteria:
    """When a difference counts.

    Attributes:
        confidence: Of the bootstrap interval.
        alpha: Largest p-value of the rank test.
        minimum_effect: Smallest difference worth a verdict, as a share.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.
    """

    confidence: float = 0.95
    alpha: float = 0.05
    minimum_effect: float = 0.01
    resamples: int = 4000
    seed: int = 1


@dataclass(frozen=True)
class Judgement:
    """A verdict and what it rests on.

    Attributes:
        verdict: The verdict.
        ratio: First arm to second, median over the builds.
        low: Lower end of its interval.
        high: Upper end.
        p_value: Of Wilcoxon's signed-rank test over the builds, two-sided.
        noise: Noise floor, as a share: how far from 1 the interval of A against A reaches.
        builds: How many pairs.
        warnings: What weakens it, in words.
    """

    verdict: Verdict
    ratio: float
    low: float
    high: float
    p_value: float
    noise: float
    builds: int
    warnings: tuple[str, ...] = ()

    @property
    def beats(self) -> bool:
        """Whether the first arm is faster; "no difference found" is not enough."""
        return self.verdict is Verdict.FASTER

    def __str__(self) -> str:
        return (
            f"ratio {self.ratio:.3f} [{self.low:.3f}, {self.high:.3f}], {self.verdict}"
            f" (noise floor ±{self.noise:.1%}, p {self.p_value:.2g}, {self.builds} builds)"
            + "".join(f"; warning: {warning}" for warning in self.warnings)
        )


def paired_ratios(
    first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]
) -> list[float]:
    """For each build, the median over its rounds of first to second.

    Args:
        first: The round's values of one arm, [build][round].
        second: Those of the other, measured in the same rounds.

    Raises:
        TrafficError: A value is not a positive number.
    """
    for value in (value for arm in (first, second) for rounds in arm for value in rounds):
        if not (math.isfinite(value) and value > 0):
            raise TrafficError(f"a round's value is {value}, not a positive number")
    return [
        math.exp(median(math.log(a / b) for a, b in zip(rounds, others, strict=True)))
        for rounds, others in zip(first, second, strict=True)
    ]


def judge(
    ratios: Sequence[float],
    again: Sequence[float],
    better: Better,
    criteria: Criteria | None = None,
) -> Judgement:
    """Conclude from paired ratios.

    The first arm is faster (or slower) if the whole interval of the median ratio lies beyond both
    the minimum effect and the noise floor, and the rank test agrees.

    Args:
        ratios: First arm to second, one for each build.
        again: The same of an arm against a second build of itself: the noise.
        better: Whether lower or higher values are better.
        criteria: When a difference counts.
    """
    criteria = criteria or Criteria()
    low, high = _interval(ratios, criteria)
    noise = max(abs(end) for end in _interval(again, criteria))
    p_value = _rank_test(ratios)
    margin = max(noise, math.log1p(criteria.minimum_effect))
    verdict = Verdict.NO_DIFFERENCE
    if p_value <= criteria.alpha and (low > margin or high < -margin):
        less = high < -margin
        verdict = Verdict.FASTER if less == (better == "lower") else Verdict.SLOWER
    return Judgement(
        verdict, math.exp(median(map(math.log, ratios))), math.exp(low), math.exp(high), p_value,
        math.expm1(noise), len(ratios), _warnings(len(ratios), noise, criteria),
    )  # fmt: skip


def _warnings(builds: int, noise: float, criteria: Criteria) -> tuple[str, ...]:
    found = []
    if 2.0 ** (1 - builds) > criteria.alpha:  # every pair points the same way
        found.append(f"{builds} builds are too few for any verdict")
    if math.expm1(noise) > 5 * criteria.minimum_effect:
        found.append("a noisy run: smaller differences cannot be seen")
    return tuple(found)


def _interval(ratios: Sequence[float], criteria: Criteria) -> tuple[float, float]:
    """Percentile bootstrap of the median, in logarithms."""
    import numpy
    from scipy.stats import bootstrap  # type: ignore[import-untyped]  # ships no annotations

    logs = [math.log(ratio) for ratio in ratios]
    if len(logs) < 2:
        return -math.inf, math.inf
    found = bootstrap(
        (logs,), numpy.median, vectorized=True, method="percentile",
        confidence_level=criteria.confidence, n_resamples=criteria.resamples,
        rng=numpy.random.default_rng(criteria.seed),
    )  # fmt: skip
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _rank_test(ratios: Sequence[float]) -> float:
    from scipy.stats import wilcoxon

    logs = [math.log(ratio) for ratio in ratios if ratio != 1]
    return float(wilcoxon(logs).pvalue) if logs else 1.0
