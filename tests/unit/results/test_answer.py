# SPDX-License-Identifier: Apache-2.0
"""What a comparison answers: shown, refuted, or inconclusive and what would settle it."""

import math

import pytest
from msgspec.structs import replace

from harness.results.answer import answer
from harness.results.comparison import FASTER, NO_DIFFERENCE, SLOWER
from harness.results.formulas import INCONCLUSIVE, REFUTED, SHOWN, told
from tests.unit.bench.test_session import comparison

#: Ratio with its interval, noise floor, verdict → of "bpf is faster", of "bpf is not slower".
CASES = {
    "far": ((0.70, 0.69, 0.71), 0.005, FASTER, SHOWN, SHOWN),
    "far, in much noise": ((0.50, 0.45, 0.55), 0.36, FASTER, SHOWN, SHOWN),
    "hidden by the noise": ((0.80, 0.70, 0.90), 0.36, NO_DIFFERENCE, INCONCLUSIVE, INCONCLUSIVE),
    "equal": ((1.0, 0.998, 1.002), 0.004, NO_DIFFERENCE, REFUTED, SHOWN),
    "equal, the noise hides more": ((1.0, 0.99, 1.01), 0.03, NO_DIFFERENCE, INCONCLUSIVE,
                                    INCONCLUSIVE),
    "the interval holds both": ((0.99, 0.97, 1.005), 0.004, NO_DIFFERENCE, INCONCLUSIVE, SHOWN),
    "slower": ((1.30, 1.28, 1.32), 0.02, SLOWER, REFUTED, REFUTED),
    "slower or not": ((1.01, 0.999, 1.03), 0.004, NO_DIFFERENCE, REFUTED, INCONCLUSIVE),
    "the rank test does not agree": ((0.70, 0.69, 0.71), 0.005, NO_DIFFERENCE, INCONCLUSIVE,
                                     SHOWN),
}  # fmt: skip


def found(ratio, noise, conclusion, builds=6, partial=None):
    whole = comparison(partial)
    (verdict,) = whole.verdicts
    centre, low, high = ratio
    verdict = replace(
        verdict, ratio=centre, low=low, high=high, noise=noise, conclusion=conclusion,
        builds=builds, warnings=[],
    )  # fmt: skip
    return replace(whole, verdicts=[verdict])


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_three_outcomes(case):
    ratio, noise, conclusion, faster, not_slower = case
    whole = found(ratio, noise, conclusion)
    assert answer(whole, "bpf", "legacy").outcome == faster
    assert answer(whole, "bpf", "legacy", "not-slower").outcome == not_slower


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_baseline_may_stand_on_either_side(case):
    """`legacy faster than bpf`, where legacy is the baseline: the same turned round."""
    (centre, low, high), noise, conclusion, faster, not_slower = case
    turned = {FASTER: SLOWER, SLOWER: FASTER}.get(conclusion, conclusion)
    whole = found((1 / centre, 1 / high, 1 / low), noise, turned)
    assert answer(whole, "legacy", "bpf").outcome == faster
    assert answer(whole, "legacy", "bpf", "not-slower").outcome == not_slower


@pytest.mark.parametrize(
    ("whole", "words"),
    [
        (
            found((0.8, 0.7, 0.9), 0.36, NO_DIFFERENCE),
            "noise floor ±36.0 %, 6 builds: measure on a quieter machine, or allow more time",
        ),
        (found((0.99, 0.97, 1.005), 0.004, NO_DIFFERENCE), "6 builds: allow more time (--bench-"),
        (found((0.7, 0.6, 0.8), 0.01, NO_DIFFERENCE, builds=3), "3 builds, a verdict needs 6: "),
        (found((0.7, 0.69, 0.71), 0.01, FASTER, partial="link down"), "partial: link down"),
        (comparison(builds=1), "too few builds for an interval: allow more time"),
        (replace(comparison(), verdicts=[]), "too few builds for an interval: allow more time"),
    ],
)
def test_what_cannot_be_told_says_in_one_line_what_would_settle_it(whole, words):
    line = str(answer(whole, "bpf", "legacy")).replace("\N{NARROW NO-BREAK SPACE}", " ")
    line = line.replace("\N{NO-BREAK SPACE}", " ")
    assert line.startswith("round-trip-udp-1 one_node ipv4: bpf faster than legacy: inconclusive: ")
    assert words in line
    assert "\n" not in line


def test_what_is_settled_says_so():
    (verdict,) = comparison().verdicts
    line = str(answer(comparison(), "bpf", "legacy", "not-slower"))
    assert "bpf not slower than legacy: shown: " in line
    assert line.endswith("6 builds")
    assert verdict.figures in line


def test_the_verdict_and_the_answer_share_their_formula():
    """A gain beyond the effect and the noise, and only that, is shown."""
    effect = math.log1p(0.01)
    assert told(0.02, 0.04, 0.03, 0.002, effect) == SHOWN
    assert told(0.02, 0.04, 0.03, 0.05, effect) == INCONCLUSIVE
    assert told(-0.04, -0.02, -0.03, 0.05, -effect) == INCONCLUSIVE
    assert told(-0.04, -0.02, -0.03, 0.02, -effect) == REFUTED
    assert told(-0.002, 0.002, 0.0, 0.001, -effect) == SHOWN
