# SPDX-License-Identifier: Apache-2.0
"""The verdict: paired ratios, a rank test, an interval, and the noise it must exceed.

Pure, and symmetric in the two arms: everything is computed on logarithms of ratios.

When to stop. Whoever tests after every build and stops at the first p below 0.05 finds a
difference between equal arms far more often than once in twenty (at only the four looks below: in
0.11 of runs, simulated). So a comparison is looked at only after the numbers of builds in `LOOKS`,
and every look has a level of its own; the levels add up to 0.05. Whatever decides when to stop, no
more than 0.05 of comparisons of equal arms then pass a rank test at any look (union bound;
simulated: 0.03 to 0.04), and a verdict needs more than that. The interval is taken at the look's
level as well: these are the repeated confidence intervals of Jennison and Turnbull (J. R. Statist.
Soc. B 51, 1989, 305-361), with alpha spent in advance as Lan and DeMets do (Biometrika 70, 1983,
659-663) but without their correlations, which makes it stricter. The percentile bootstrap is a
little narrow for few builds: simulated, the interval holds the true ratio in 0.93 of runs at the
first look, and in 0.97 to 0.99 at each later one. The price of looking early is width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Literal

from harness.plumbing.errors import TrafficError

Better = Literal["lower", "higher"]

#: After how many builds a comparison is judged, and at which level. Six is the least for which the
#: rank test can speak at all: 2 / 2^6 is under 0.05, and is what the first look spends.
LOOKS = ((6, 1 / 32), (10, 1 / 160), (16, 1 / 160), (28, 1 / 160))


class Verdict(StrEnum):
    """What a comparison concludes of an arm."""

    FASTER = "faster"
    SLOWER = "slower"
    NO_DIFFERENCE = "no difference found"


@dataclass(frozen=True)
class Criteria:
    """When a difference counts.

    Attributes:
        looks: (builds, level) of every look; the levels add up to `alpha` or less.
        alpha: Share of comparisons of equal arms that may pass a rank test.
        minimum_effect: Smallest difference worth a verdict, as a share.
        noise_confidence: Of the interval of A against A.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.
    """

    looks: tuple[tuple[int, float], ...] = LOOKS
    alpha: float = 0.05
    minimum_effect: float = 0.01
    noise_confidence: float = 0.95
    resamples: int = 4000
    seed: int = 1

    @property
    def floor(self) -> int:
        """The fewest builds on which there can be a verdict."""
        return self.looks[0][0]

    @property
    def cap(self) -> int:
        """The most builds that are worth making."""
        return self.looks[-1][0]

    def level(self, builds: int, last: bool = True) -> float:
        """What a look at `builds` builds may spend.

        Args:
            builds: How many there are.
            last: Whether no look follows, whatever it finds: it then has what those after it would
                have spent. Time may decide that, and the plan; the numbers may not.
        """
        left = [level for at, level in self.looks if at >= builds] or [self.looks[-1][1]]
        return sum(left) if last else left[0]


@dataclass(frozen=True)
class Judgement:
    """A verdict and what it rests on.

    Attributes:
        verdict: The verdict.
        ratio: The arm to the one it is compared with, median over the builds.
        low: Lower end of its interval.
        high: Upper end.
        p_value: Of Wilcoxon's signed-rank test over the builds, two-sided.
        noise: Noise floor, as a share: how far from 1 the interval of A against A reaches.
        builds: How many pairs.
        warnings: What weakens it, in words.
        negligible: Whether the whole interval lies within the minimum effect: more builds would
            not find a difference worth a verdict.
    """

    verdict: Verdict
    ratio: float
    low: float
    high: float
    p_value: float
    noise: float
    builds: int
    warnings: tuple[str, ...] = ()
    negligible: bool = False

    @property
    def beats(self) -> bool:
        """Whether the arm is faster; "no difference found" is not enough."""
        return self.verdict is Verdict.FASTER

    @property
    def settled(self) -> bool:
        """Whether more builds would change nothing."""
        return self.verdict is not Verdict.NO_DIFFERENCE or self.negligible

    @property
    def figures(self) -> str:
        """The ratio and its interval, without what is concluded from them."""
        return f"ratio {self.ratio:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def __str__(self) -> str:
        return (
            f"{self.figures}, {self.verdict}"
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
    last: bool = True,
) -> Judgement:
    """Conclude from paired ratios.

    The arm is faster (or slower) if three things hold, the first two at the level of this look:
    the rank test says so; the whole interval of the median ratio lies beyond the minimum effect;
    and the ratio itself is farther from 1 than that of A against A may be, the noise floor, which
    also knows of what no test of the ratios can see, such as what comes of being built twice.
    Simulated, equal arms whose builds differ by 1 to 10 %, one build in ten four times as much,
    are told apart in no more than 0.005 of comparisons.

    Args:
        ratios: The arm to the one it is compared with, one for each build.
        again: The same of an arm against a second build of itself: the noise.
        better: Whether lower or higher values are better.
        criteria: When a difference counts.
        last: Whether no look follows: see `Criteria.level`.
    """
    criteria = criteria or Criteria()
    level = criteria.level(len(ratios), last)
    low, high = bootstrap_median(ratios, 1 - level, criteria)
    noise = max(map(abs, bootstrap_median(again, criteria.noise_confidence, criteria)))
    p_value, centre = rank_test(ratios), median(map(math.log, ratios))
    least = math.log1p(criteria.minimum_effect)
    verdict = Verdict.NO_DIFFERENCE
    if p_value <= level and (low > least or high < -least) and abs(centre) > noise:
        verdict = Verdict.FASTER if (centre < 0) == (better == "lower") else Verdict.SLOWER
    return Judgement(
        verdict, math.exp(centre), math.exp(low), math.exp(high), p_value,
        math.expm1(noise), len(ratios), _warnings(len(ratios), level, noise, criteria),
        negligible=-least < low and high < least,
    )  # fmt: skip


def _warnings(builds: int, level: float, noise: float, criteria: Criteria) -> tuple[str, ...]:
    found = []
    if 2.0 ** (1 - builds) > level:  # every pair points the same way
        found.append(f"{builds} builds are too few for any verdict")
    if math.expm1(noise) > 5 * criteria.minimum_effect:
        found.append("a noisy run: smaller differences cannot be seen")
    return tuple(found)


def bootstrap_median(
    ratios: Sequence[float], confidence: float, criteria: Criteria
) -> tuple[float, float]:
    """Percentile bootstrap of the median, in logarithms; without end for a single ratio."""
    import numpy
    from scipy.stats import bootstrap  # type: ignore[import-untyped]  # ships no annotations

    logs = [math.log(ratio) for ratio in ratios]
    if len(logs) < 2:
        return -math.inf, math.inf
    found = bootstrap(
        (logs,), numpy.median, vectorized=True, method="percentile",
        confidence_level=confidence, n_resamples=criteria.resamples,
        rng=numpy.random.default_rng(criteria.seed),
    )  # fmt: skip
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def rank_test(ratios: Sequence[float]) -> float:
    """The p-value of Wilcoxon's signed-rank test, two-sided; 1 where nothing differs."""
    from scipy.stats import wilcoxon

    logs = [math.log(ratio) for ratio in ratios if ratio != 1]
    return float(wilcoxon(logs).pvalue) if logs else 1.0
