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

from harness.results import index
from harness.results.schema import Document

FASTER, SLOWER, NO_DIFFERENCE = "faster", "slower", "no difference found"
#: In a verdict's stead where a comparison did not come to its end, whatever its record concludes.
PARTIAL = "partial"
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
        ratio: Second to first.
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


def changes(old: Document, new: Document, least: float = LEAST) -> list[Change]:
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
        if other is not None and other["described"] == entry["described"]:
            found += _of_comparison(entry, other, least)
    return [*found, *_of_exact(old, new)]


def _of_comparison(old: Document, new: Document, least: float) -> Iterator[Change]:
    baseline = old["baseline"]
    for label, arm in old["arms"].items():
        other = new["arms"].get(label)
        if other is None or arm["again"] or not (has_ratio(arm) and has_ratio(other)):
            continue
        before, after = _builds(arm), _builds(other)
        yield from _judged(old, new, label, "", before, after, least)
        bases = [each["arms"].get(baseline) for each in (old, new)]
        if label != baseline and all(each is not None and has_ratio(each) for each in bases):
            before = _builds(arm, old["arms"][baseline])
            after = _builds(other, new["arms"][baseline])
            yield from _judged(old, new, label, baseline, before, after, least)


def _builds(arm: Document, against: Document | None = None) -> list[float]:
    """For each build the median over its rounds, or that of the ratios to another arm's."""
    if against is None:
        return [median(build) for build in arm["values"] if build]
    return [
        median(a / b for a, b in zip(build, other, strict=False))
        for build, other in zip(arm["values"], against["values"], strict=False)
        if build and other
    ]


def has_ratio(arm: Document) -> bool:
    """Whether an arm has values, and each of them is one of which a ratio can be made."""
    values = [value for build in arm["values"] for value in build]
    return bool(values) and min(values) > 0


def _judged(
    old: Document, new: Document, arm: str, against: str, before: list[float], after: list[float],
    least: float,
) -> Iterator[Change]:  # fmt: skip
    """The change, if there are numbers at all."""
    if not before or not after:
        return
    noise = max(least, *(_noise(each, arm) for each in (old, new)))
    low, high = _interval(before, after)
    p_value = _rank_test(before, after)
    margin = math.log1p(noise)
    sure = p_value <= _ALPHA and (low > margin or high < -margin)
    typical = median(before), median(after)
    verdict = _verdict(low > 0, old["better"]) if sure else NO_DIFFERENCE
    if old["partial"] or new["partial"]:
        verdict = PARTIAL
    yield Change(
        name_of(old), arm, against, "" if against else old["unit"], old["better"], *typical,
        typical[1] / typical[0], _exp(low), _exp(high), p_value, noise,
        verdict, (len(before), len(after)),
    )  # fmt: skip


def _exp(logarithm: float) -> float:
    """A ratio; of numbers that no machine measures, infinity."""
    return math.exp(logarithm) if logarithm < 700 else math.inf


def name_of(comparison: Document) -> str:
    """What was compared, for people."""
    return "{title} {testbed} {family} {described}".format(**comparison)


def _verdict(more: bool, better: str) -> str:
    return FASTER if more == (better == "higher") else SLOWER


def _noise(comparison: Document, arm: str) -> float:
    """The noise floor of an arm's verdict; for the baseline the largest of all."""
    verdicts = comparison["verdicts"]
    own = [entry["noise"] for entry in verdicts if entry["arm"] == arm]
    known = [noise for noise in own or [each["noise"] for each in verdicts] if noise is not None]
    return max(known, default=0.0)


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


def _of_exact(old: Document, new: Document) -> Iterator[Change]:
    """Figures that repeat to a share of a per cent: one number is enough."""
    others = index.exact(new)
    for key, entry in index.exact(old).items():
        if key not in others or min(entry["value"], others[key]["value"]) <= 0:
            continue
        ratio = others[key]["value"] / entry["value"]
        if not 0 < ratio < math.inf:  # of numbers that no machine counts
            continue
        sure = abs(math.log(ratio)) > math.log1p(EXACT_NOISE)
        yield Change(
            f"{key.figure} {key.testbed} {key.family}", key.datapath, "", entry["unit"],
            "lower", entry["value"], others[key]["value"], ratio, ratio, ratio, 0.0, EXACT_NOISE,
            _verdict(ratio > 1, "lower") if sure else NO_DIFFERENCE, (1, 1),
            exact=True,
        )  # fmt: skip
