# SPDX-License-Identifier: Apache-2.0
"""The verdict on synthetic data: what must be found, what must not."""

import math
import random

import pytest

from harness.bench import Criteria, judge
from harness.bench.verdict import LOOKS, bootstrap_median, rank_test
from harness.plumbing.errors import TrafficError
from harness.results.comparison import FASTER, NO_DIFFERENCE, SLOWER
from harness.results.formulas import paired_ratios

BUILDS, ROUNDS = 16, 8

NARROW = "\N{NARROW NO-BREAK SPACE}"


def arm(chance, typical, spread=0.02, builds=BUILDS, rounds=ROUNDS):
    """Values around `typical`; each build has an offset of its own, as real ones have."""
    offsets = [chance.gauss(0, 0.01) for _ in range(builds)]
    return [
        [typical * math.exp(offset + chance.gauss(0, spread)) for _ in range(rounds)]
        for offset in offsets
    ]


def judged(first, second, again, better="lower"):
    return judge(paired_ratios(first, second), paired_ratios(first, again), better)


def test_five_percent_slower_is_found():
    for seed in range(20):
        chance = random.Random(seed)
        slow, fast, again = arm(chance, 1050), arm(chance, 1000), arm(chance, 1050)
        assert judged(slow, fast, again).conclusion == SLOWER, seed


def test_a_against_a_finds_no_difference():
    verdicts = []
    for seed in range(200):
        chance = random.Random(seed)
        verdicts.append(judged(*(arm(chance, 1000) for _ in range(3))).conclusion)
    assert sum(verdict != NO_DIFFERENCE for verdict in verdicts) <= 2


def test_swapped_arms_mirror_the_verdict():
    chance = random.Random(1)
    first, second, again = arm(chance, 800), arm(chance, 1000), arm(chance, 800)
    noise = paired_ratios(first, again)
    here = judge(paired_ratios(first, second), noise, "lower")
    there = judge(paired_ratios(second, first), noise, "lower")
    assert (here.conclusion, there.conclusion) == (FASTER, SLOWER)
    assert here.ratio == pytest.approx(1 / there.ratio)
    assert (here.low, here.high) == pytest.approx((1 / there.high, 1 / there.low))
    assert here.p_value == pytest.approx(there.p_value)


def test_more_is_faster_where_higher_is_better():
    chance = random.Random(2)
    more, less, again = arm(chance, 20e9), arm(chance, 10e9), arm(chance, 20e9)
    assert judged(more, less, again, "higher").conclusion == FASTER
    assert judged(more, less, again, "lower").conclusion == SLOWER


def test_no_difference_does_not_beat():
    chance = random.Random(3)
    judgement = judged(*(arm(chance, 1000) for _ in range(3)))
    assert judgement.conclusion == NO_DIFFERENCE
    assert judgement.conclusion != FASTER


def test_a_real_but_small_difference_is_none():
    first = [[994.0] * ROUNDS] * BUILDS
    second = [[1000.0] * ROUNDS] * BUILDS
    assert judged(first, second, first).conclusion == NO_DIFFERENCE
    criteria = Criteria(minimum_effect=0.001)
    ratios = paired_ratios(first, second)
    assert judge(ratios, paired_ratios(first, first), "lower", criteria).conclusion == FASTER


def test_a_difference_within_the_noise_is_none():
    chance = random.Random(4)
    first, second = arm(chance, 950), arm(chance, 1000)
    shifted = [[value * 1.08 for value in build] for build in first]
    judgement = judged(first, second, shifted)
    assert judgement.conclusion == NO_DIFFERENCE
    assert judgement.noise > 0.07
    assert "noisy" in str(judgement)


def test_equal_arms_are_no_difference():
    same = [[1000.0] * ROUNDS] * BUILDS
    judgement = judged(same, same, same)
    assert judgement.conclusion == NO_DIFFERENCE
    assert (judgement.ratio, judgement.p_value, judgement.noise) == (1, 1, 0)


@pytest.mark.parametrize("builds", [1, 5])
def test_too_few_builds_say_so(builds):
    first, second = [[1.0]] * builds, [[2.0]] * builds
    judgement = judged(first, second, first)
    assert judgement.conclusion == NO_DIFFERENCE
    assert "too few" in str(judgement)


def test_six_builds_that_agree_are_enough():
    ratios = [0.5, 0.51, 0.52, 0.5, 0.49, 0.48]
    assert judge(ratios, [1.0, 0.99, 1.01, 1.0, 1.0, 1.0], "lower").conclusion == FASTER


def test_one_build_gone_astray_does_not_turn_the_verdict():
    chance = random.Random(5)
    first, second, again = arm(chance, 800), arm(chance, 1000), arm(chance, 800)
    first[3] = [value * 30 for value in first[3]]
    assert judged(first, second, again).conclusion == FASTER


def test_pairs_are_rounds_of_the_same_build():
    first, second = [[1.0, 3.0], [10.0, 30.0]], [[2.0, 6.0], [20.0, 60.0]]
    assert paired_ratios(first, second) == pytest.approx([0.5, 0.5])


def test_the_levels_of_all_looks_add_up_to_alpha():
    criteria = Criteria()
    assert sum(level for _, level in LOOKS) <= criteria.alpha
    spent = [criteria.level(at, last=False) for at, _ in LOOKS[:-1]]
    for at, _ in LOOKS:  # whichever look is the last one, it has what the earlier ones left
        before = sum(level for earlier, level in LOOKS if earlier < at)
        assert before + criteria.level(at) == pytest.approx(criteria.alpha)
    assert spent == [level for _, level in LOOKS[:-1]]
    assert criteria.level(criteria.cap + 5) == LOOKS[-1][1]


def draws(seed, builds):
    """Ratios of equal arms; one build in ten is far off."""
    chance = random.Random(seed)
    return [
        math.exp(chance.gauss(0, 0.02) * (5 if chance.random() < 0.1 else 1)) for _ in range(builds)
    ]


def test_stopping_early_finds_no_more_than_alpha_and_would_without_levels():
    runs, found, naive = 400, 0, 0
    for seed in range(runs):
        ratios = draws(seed, LOOKS[-1][0])
        values = [(rank_test(ratios[:at]), level) for at, level in LOOKS]
        found += any(p <= level for p, level in values)
        naive += any(p <= 0.05 for p, _ in values)
    assert found <= 0.05 * runs
    assert naive > 0.08 * runs


@pytest.mark.parametrize(("builds", "level"), LOOKS)
def test_the_interval_holds_the_truth(builds, level):
    criteria, runs, held = Criteria(resamples=500), 300, 0
    for seed in range(runs):
        low, high = bootstrap_median(draws(seed, builds), 1 - level, criteria)
        held += low <= 0 <= high
    assert held >= 0.92 * runs


def test_an_interval_within_the_minimum_effect_settles_it():
    chance = random.Random(6)
    ratios = [math.exp(chance.gauss(0, 0.002)) for _ in range(10)]
    judgement = judge(ratios, ratios, "lower")
    assert judgement.negligible
    assert judgement.settled
    assert judgement.conclusion == NO_DIFFERENCE
    wide = judge([ratio**20 for ratio in ratios], ratios, "lower")
    assert not wide.settled


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_values_must_be_positive(value):
    with pytest.raises(TrafficError, match="not a positive number"):
        paired_ratios([[1.0, value]], [[1.0, 1.0]])
    with pytest.raises(TrafficError, match="not a positive number"):
        paired_ratios([[1.0, 1.0]], [[value, 1.0]])


def test_unequal_series_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        paired_ratios([[1.0, 1.0]], [[1.0]])


def test_the_line_a_person_reads():
    judgement = judge([0.8] * 8, [1.0] * 8, "lower")
    assert str(judgement).replace(NARROW, " ") == (
        "ratio 0.800 [0.800, 0.800], faster (noise floor ±0.0 %, p 0.0078, 8 builds)"
    )
