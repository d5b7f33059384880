# SPDX-License-Identifier: Apache-2.0
"""What changed from one record to another, how sure that is, and whether it is worse. Floor 6.

Two runs are not interleaved: whatever the machine did between them is in their values. So each
arm is also judged by its ratio to the baseline of its own run, which such drift does not touch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from harness.record import parts
from harness.record.schema import Document

FASTER, SLOWER, NO_DIFFERENCE = "faster", "slower", "no difference found"
#: By how much an exact figure differs from itself, as a share.
EXACT_NOISE = 0.002
_DEFAULTS = {"confidence": 0.95, "alpha": 0.05, "minimum_effect": 0.01, "resamples": 4000}


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
        noise: What the difference had to exceed, as a share: the larger noise floor of both runs.
        verdict: Whether the arm became faster, slower, or no difference was found.
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


def changes(old: Document, new: Document) -> list[Change]:
    """Everything that both records measured in the same way; see `missing` for the rest."""
    found: list[Change] = []
    others = parts.comparisons(new)
    for key, entry in parts.comparisons(old).items():
        other = others.get(key)
        if other is not None and other["described"] == entry["described"]:
            found += _of_comparison(entry, other)
    return [*found, *_of_exact(old, new)]


def _of_comparison(old: Document, new: Document) -> Iterator[Change]:
    baseline = old["baseline"]
    for label, arm in old["arms"].items():
        other = new["arms"].get(label)
        if other is None or arm["again"]:
            continue
        yield from _judged(old, new, label, "", _builds(arm), _builds(other))
        if label != baseline and all(baseline in each["arms"] for each in (old, new)):
            yield from _judged(
                old, new, label, baseline,
                _builds(arm, old["arms"][baseline]), _builds(other, new["arms"][baseline]),
            )  # fmt: skip


def _builds(arm: Document, against: Document | None = None) -> list[float]:
    """For each build the median over its rounds, or that of the ratios to another arm's."""
    if against is None:
        return [median(build) for build in arm["values"] if build]
    return [
        median(a / b if b else math.inf for a, b in zip(build, other, strict=False))
        for build, other in zip(arm["values"], against["values"], strict=False)
        if build and other
    ]


def _judged(
    old: Document, new: Document, arm: str, against: str, before: list[float], after: list[float]
) -> Iterator[Change]:
    """The change, unless there are no numbers of which a ratio can be made."""
    if not before or not after or not all(0 < value < math.inf for value in before + after):
        return
    criteria = {**_DEFAULTS, **old["criteria"], **new["criteria"]}
    noise = max(_noise(each, arm) for each in (old, new))
    low, high = _interval(before, after, criteria["confidence"], criteria["resamples"])
    p_value = _rank_test(before, after)
    margin = math.log1p(max(noise, criteria["minimum_effect"]))
    sure = p_value <= criteria["alpha"] and (low > margin or high < -margin)
    what = f"{old['title']} {old['testbed']} {old['family']} {old['described']}"
    typical = median(before), median(after)
    yield Change(
        what, arm, against, "" if against else old["unit"], old["better"], *typical,
        typical[1] / typical[0], math.exp(low), math.exp(high), p_value, noise,
        _verdict(low > 0, old["better"]) if sure else NO_DIFFERENCE,
    )  # fmt: skip


def _verdict(more: bool, better: str) -> str:
    return FASTER if more == (better == "higher") else SLOWER


def _noise(comparison: Document, arm: str) -> float:
    """The noise floor of an arm's verdict; for the baseline the largest of all."""
    verdicts = comparison["verdicts"]
    own = [entry["noise"] for entry in verdicts if entry["arm"] == arm]
    known = [noise for noise in own or [each["noise"] for each in verdicts] if noise is not None]
    return max(known, default=0.0)


def _interval(
    before: Sequence[float], after: Sequence[float], confidence: float, resamples: int
) -> tuple[float, float]:
    """Percentile bootstrap of the ratio of medians, in logarithms; builds are what is drawn."""
    import numpy
    from scipy.stats import bootstrap  # type: ignore[import-untyped]  # ships no annotations

    if min(len(before), len(after)) < 2:
        return -math.inf, math.inf
    found = bootstrap(
        (numpy.log(after), numpy.log(before)),
        lambda new, old, axis: numpy.median(new, axis=axis) - numpy.median(old, axis=axis),
        vectorized=True, method="percentile", confidence_level=confidence,
        n_resamples=resamples, rng=numpy.random.default_rng(1),
    )  # fmt: skip
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _rank_test(before: Sequence[float], after: Sequence[float]) -> float:
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(before, after).pvalue)


def _of_exact(old: Document, new: Document) -> Iterator[Change]:
    """Figures that repeat to a share of a per cent: one number is enough."""
    others = parts.exact(new)
    for key, entry in parts.exact(old).items():
        if key not in others or min(entry["value"], others[key]["value"]) <= 0:
            continue
        ratio = others[key]["value"] / entry["value"]
        sure = abs(math.log(ratio)) > math.log1p(EXACT_NOISE)
        yield Change(
            f"{key.figure} {key.testbed} {key.family} exact", key.datapath, "", entry["unit"],
            "lower", entry["value"], others[key]["value"], ratio, ratio, ratio, 0.0, EXACT_NOISE,
            _verdict(ratio > 1, "lower") if sure else NO_DIFFERENCE,
        )  # fmt: skip
