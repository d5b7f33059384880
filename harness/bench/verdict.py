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
from statistics import median

from harness.results.comparison import FASTER, NO_DIFFERENCE, SLOWER, Conclusion, Verdict
from harness.results.formulas import REFUTED, SHOWN, told
from harness.results.part import Better

#: After how many builds a comparison is judged, and at which level. Six is the least for which the
#: rank test can speak at all: 2 / 2^6 is under 0.05, and is what the first look spends.
LOOKS = ((6, 1 / 32), (10, 1 / 160), (16, 1 / 160), (28, 1 / 160))


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
    """What follows from ratios so far, and whether more builds would change it.

    Attributes:
        conclusion: Whether the arm is faster, slower, or no difference was found.
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

    conclusion: Conclusion
    ratio: float
    low: float
    high: float
    p_value: float
    noise: float
    builds: int
    warnings: tuple[str, ...] = ()
    negligible: bool = False

    @property
    def settled(self) -> bool:
        """Whether more builds would change nothing."""
        return self.conclusion != NO_DIFFERENCE or self.negligible

    def verdict(self, arm: str, against: str) -> Verdict:
        """It, for a record, where what is without end is not known."""
        bounded = math.isfinite(self.high)
        return Verdict(
            arm=arm, against=against, conclusion=self.conclusion, ratio=self.ratio,
            low=self.low if bounded else None, high=self.high if bounded else None,
            p_value=self.p_value, noise=self.noise if math.isfinite(self.noise) else None,
            builds=self.builds, warnings=list(self.warnings),
        )  # fmt: skip

    def __str__(self) -> str:
        return str(self.verdict("", ""))


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
    gain = (-high, -low, -centre) if better == "lower" else (low, high, centre)
    conclusion: Conclusion = NO_DIFFERENCE
    if p_value <= level and told(*gain, noise, least) == SHOWN:
        conclusion = FASTER
    elif p_value <= level and told(*gain, noise, -least) == REFUTED:
        conclusion = SLOWER
    return Judgement(
        conclusion, math.exp(centre), math.exp(low), math.exp(high), p_value,
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
