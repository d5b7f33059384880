# SPDX-License-Identifier: Apache-2.0
"""What a comparison answers to a question such as: is bpf faster than legacy?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

from harness.results import units
from harness.results.comparison import FASTER, SLOWER, Comparison, Verdict
from harness.results.formulas import INCONCLUSIVE, REFUTED, SHOWN, Outcome, told

#: What `--require` may ask for.
REQUIREMENTS = ("faster", "not-slower")
_QUIET = "measure on a quieter machine"
_LONGER = "allow more time (--bench-budget)"
_TOO_FEW = f"{_LONGER} or measure less (-k)"


@dataclass(frozen=True)
class Answer:
    """What is known of an assertion about two arms.

    Attributes:
        asked: It, in words, such as `bpf faster than legacy`.
        comparison: What it was asked of, in words.
        outcome: `shown`, `refuted` or `inconclusive`.
        evidence: What that rests on.
        settle: What would settle it; empty: it is settled.
    """

    asked: str
    comparison: str
    outcome: Outcome
    evidence: str
    settle: str = ""

    def __str__(self) -> str:
        head = f"{self.comparison}: {self.asked}: {self.outcome}: {self.evidence}"
        return f"{head}: {self.settle}" if self.settle else head


def answer(comparison: Comparison, arm: str, against: str, required: str = "faster") -> Answer:
    """Whether an arm is faster than another, or not slower; one of the two is the baseline.

    By less than the comparison's minimum effect it is neither faster nor slower.

    Args:
        comparison: Of both.
        arm: Label of the arm.
        against: Label of the other.
        required: `faster` or `not-slower`.
    """
    asked = f"{arm} {required.replace('-', ' ')} than {against}"
    name = f"{comparison.measure} {comparison.place}"
    verdict = comparison.verdict_of(arm if against == comparison.baseline else against)
    if comparison.partial is not None:
        return Answer(asked, name, INCONCLUSIVE, f"partial: {comparison.partial}")
    if verdict is None or None in (verdict.ratio, verdict.low, verdict.high, verdict.noise):
        return Answer(asked, name, INCONCLUSIVE, "too few builds for an interval", _TOO_FEW)
    if verdict.builds < _fewest(comparison):
        few = f"{units.count(verdict.builds, 'build')}, a verdict needs {_fewest(comparison)}"
        return Answer(asked, name, INCONCLUSIVE, few, _TOO_FEW)
    effect = _effect(comparison)
    least = math.log1p(effect) * (1 if required == "faster" else -1)
    mirrored = verdict.arm != arm
    outcome = told(*_gain(verdict, comparison.better == "lower", mirrored), least)
    wanted = _conclusion(outcome, required, mirrored)
    if wanted not in (None, verdict.conclusion):  # the rank test does not agree
        outcome = INCONCLUSIVE
    hidden = verdict.noise or 0.0
    settle = ""
    if outcome == INCONCLUSIVE:
        noisy = hidden > effect and abs(math.log(verdict.ratio or 1.0)) <= math.log1p(hidden)
        settle = f"{_QUIET}, or {_LONGER}" if noisy else _LONGER
    evidence = f"{verdict.figures}, noise floor {units.noise(hidden)}"
    return Answer(
        asked, name, outcome, f"{evidence}, {units.count(verdict.builds, 'build')}", settle
    )


def _gain(verdict: Verdict, lower: bool, mirrored: bool) -> tuple[float, float, float, float]:
    """Interval, centre and noise as logarithms of how much better the arm is."""
    low, high, centre = (
        math.log(cast("float", value)) for value in (verdict.low, verdict.high, verdict.ratio)
    )
    noise = math.log1p(verdict.noise or 0.0)
    if lower != mirrored:
        low, high, centre = -high, -low, -centre
    return low, high, centre, noise


def _conclusion(outcome: Outcome, required: str, mirrored: bool) -> str | None:
    """The verdict that an outcome must not contradict; None: it rests on the interval alone."""
    if (outcome, required) == (SHOWN, "faster"):
        return SLOWER if mirrored else FASTER
    if (outcome, required) == (REFUTED, "not-slower"):
        return FASTER if mirrored else SLOWER
    return None


def _effect(comparison: Comparison) -> float:
    return float(cast("float", comparison.criteria.get("minimum_effect", 0.01)))


def _fewest(comparison: Comparison) -> int:
    looks = cast("list[list[int]]", comparison.criteria.get("looks") or [[0]])
    return looks[0][0]
