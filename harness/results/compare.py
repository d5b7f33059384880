# SPDX-License-Identifier: Apache-2.0
"""What changed from one record to another, how sure that is, and whether it is worse.

Two runs are not interleaved: whatever the machine did between them is in their values. So each
arm is also judged by its ratio to the baseline of its own run, which such drift hardly touches.
Measured on a busy virtual machine, eight equal runs of three round trips, 12 builds each, every
pair of runs: beyond the noise and LEAST, 18 of 168 values seemed changed (one by half) and none of
84 ratios (beyond 1 % instead, 3 did). Of 5 % put into one run, 168 of 168 ratios told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from harness.results import formulas, index
from harness.results.comparison import FASTER, NO_DIFFERENCE, PARTIAL, SLOWER, Comparison
from harness.results.run import Run

#: The least change between two runs that counts, as a share.
LEAST = 0.02
#: By how much an exact figure differs from itself, as a share.
EXACT_NOISE = 0.002
_CONFIDENCE, _ALPHA, _RESAMPLES, _SEED = 0.95, 0.05, 4000, 1


@dataclass(frozen=True)
class Change:
    """What became of one number of one arm.

    Attributes:
        what: Measure, testbed, family and the like, for people.
        arm: Label of the arm.
        against: Empty: it is about the arm's values. Else about their ratio to this arm's.
        unit: Of `old` and `new`; empty for a ratio.
        better: Whether lower or higher is better.
        old: What is typical of the first record.
        new: What is typical of the second.
        ratio: Second to first, by the builds, as its interval is.
        low: Lower end of the ratio's interval.
        high: Upper end.
        p_value: Of the rank test between the builds of both, two-sided.
        noise: What the whole interval had to exceed, as a share: the least change that counts, or
            the larger noise floor of both runs.
        verdict: Whether the arm became faster, slower, or no difference was found; partial where
            one of the comparisons is.
        builds: Of the first record and of the second.
        exact: Whether it counts instructions.
    """

    what: str
    arm: str
    against: str
    unit: str
    better: str
    old: float
    new: float
    ratio: float
    low: float
    high: float
    p_value: float
    noise: float
    verdict: str
    builds: tuple[int, int]
    exact: bool = False

    @property
    def telling(self) -> bool:
        """Whether so many builds could have told a difference; an exact figure needs but one.

        The smallest p-value is that of all builds of one run beyond all of the other.
        """
        orders = math.comb(sum(self.builds), self.builds[0])
        return self.exact or 2 / orders <= _ALPHA


def changes(old: Run, new: Run, least: float = LEAST) -> list[Change]:
    """Everything that both records measured in the same way.

    Args:
        old: A record.
        new: Another, which is judged.
        least: The least change that counts, as a share; exact figures have their own.
    """
    found: list[Change] = []
    others = index.comparisons(new)
    for key, entry in index.comparisons(old).items():
        other = others.get(key)
        if other is not None and other.described == entry.described:
            found += _of_comparison(entry, other, least)
    return [*found, *_of_exact(old, new)]


def _of_comparison(old: Comparison, new: Comparison, least: float) -> Iterator[Change]:
    baseline = old.baseline
    for label, arm in old.arms.items():
        other = new.arms.get(label)
        if other is None or arm.again or not (arm.has_ratio and other.has_ratio):
            continue
        yield from _judged(old, new, label, "", arm.builds, other.builds, least)
        bases = old.arms.get(baseline), new.arms.get(baseline)
        if label == baseline or bases[0] is None or bases[1] is None:
            continue
        if bases[0].has_ratio and bases[1].has_ratio:
            before, after = arm.ratios_to(bases[0]), other.ratios_to(bases[1])
            yield from _judged(old, new, label, baseline, before, after, least)


def _judged(
    old: Comparison, new: Comparison, arm: str, against: str, before: list[float],
    after: list[float], least: float,
) -> Iterator[Change]:  # fmt: skip
    """The change, if there are numbers at all, and such as a machine may measure."""
    if not (before and after and all(0 < each < math.inf for each in (*before, *after))):
        return
    noise = max(least, *(_noise(each, arm) for each in (old, new)))
    low, high = _interval(before, after)
    p_value = _rank_test(before, after)
    margin = math.log1p(noise)
    sure = p_value <= _ALPHA and (low > margin or high < -margin)
    middle = formulas.centre if against else median
    ratio = middle(after) / middle(before)
    first, second = middle(before), middle(after)
    if not against:  # of an arm itself, what is shown of it elsewhere too
        first, second = (each.arms[arm].typical or 0.0 for each in (old, new))
    verdict = _verdict(low > 0, old.better) if sure else NO_DIFFERENCE
    if old.partial or new.partial:
        verdict = PARTIAL
    yield Change(
        old.full_name, arm, against, "" if against else old.unit, old.better, first,
        second, ratio, formulas.ratio_of(low), formulas.ratio_of(high), p_value, noise,
        verdict, (len(before), len(after)),
    )  # fmt: skip


def _verdict(more: bool, better: str) -> str:
    return FASTER if more == (better == "higher") else SLOWER


def _noise(comparison: Comparison, arm: str) -> float:
    """The noise floor of an arm's verdict; for the baseline the largest of all."""
    own = [verdict for verdict in comparison.verdicts if verdict.arm == arm]
    floors = [verdict.noise for verdict in own or comparison.verdicts]
    return max((noise for noise in floors if noise is not None), default=0.0)


def _interval(before: Sequence[float], after: Sequence[float]) -> tuple[float, float]:
    """Percentile bootstrap of the ratio of medians, in logarithms; builds are what is drawn."""
    import numpy
    from scipy.stats import bootstrap  # type: ignore[import-untyped]  # ships no annotations

    if min(len(before), len(after)) < 2:
        return -math.inf, math.inf
    found = bootstrap(
        (numpy.log(after), numpy.log(before)),
        lambda new, old, axis: numpy.median(new, axis=axis) - numpy.median(old, axis=axis),
        vectorized=True, method="percentile", confidence_level=_CONFIDENCE,
        n_resamples=_RESAMPLES, rng=numpy.random.default_rng(_SEED),
    )  # fmt: skip
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _rank_test(before: Sequence[float], after: Sequence[float]) -> float:
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(before, after).pvalue)


def _of_exact(old: Run, new: Run) -> Iterator[Change]:
    """Figures that repeat to a share of a per cent: one number is enough."""
    others = index.exact(new)
    for key, entry in index.exact(old).items():
        if key not in others or min(entry.value, others[key].value) <= 0:
            continue
        ratio = others[key].value / entry.value
        if not 0 < ratio < math.inf:  # of numbers that no machine counts
            continue
        sure = abs(math.log(ratio)) > math.log1p(EXACT_NOISE)
        yield Change(
            f"{key.figure} {key.testbed} {key.family}", key.datapath, "", entry.unit,
            "lower", entry.value, others[key].value, ratio, ratio, ratio, 0.0, EXACT_NOISE,
            _verdict(ratio > 1, "lower") if sure else NO_DIFFERENCE, (1, 1),
            exact=True,
        )  # fmt: skip
