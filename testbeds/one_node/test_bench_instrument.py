# SPDX-License-Identifier: Apache-2.0
"""Negative controls of the comparison itself, on real samples."""

import pytest

from harness.bench import Verdict, judge, paired_ratios
from harness.bench.comparison import AGAIN, FIRST, SECOND

pytestmark = pytest.mark.bench


def test_bench_a_against_a_finds_no_difference(compared, family):
    comparison = compared("round-trip-udp", "one_node", family, "bpf", "bpf")
    assert comparison.judgement.verdict is Verdict.NO_DIFFERENCE
    assert not comparison.beats


def test_bench_swapped_arms_mirror_the_verdict(compared, family):
    comparison = compared("round-trip-udp", "one_node", family)
    first, second, again = (comparison.values(role) for role in (FIRST, SECOND, AGAIN))
    noise = paired_ratios(first, again)
    mirrored = judge(paired_ratios(second, first), noise, "lower")
    assert comparison.judgement.verdict is Verdict.FASTER
    assert mirrored.verdict is Verdict.SLOWER
    assert mirrored.ratio == pytest.approx(1 / comparison.judgement.ratio)
    assert mirrored.low == pytest.approx(1 / comparison.judgement.high)


def test_bench_a_planted_share_of_five_percent_is_found(compared, family):
    comparison = compared("round-trip-udp", "one_node", family, "bpf", "bpf")
    first, second, again = (comparison.values(role) for role in (FIRST, SECOND, AGAIN))
    slower = [[value * 1.05 for value in build] for build in second]
    judgement = judge(paired_ratios(first, slower), paired_ratios(first, again), "lower")
    assert judgement.verdict is Verdict.FASTER
