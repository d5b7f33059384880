# SPDX-License-Identifier: Apache-2.0
"""Negative controls of the comparison itself, on real samples."""

from pathlib import Path

import pytest

from harness.bench import Campaign, Criteria, judge
from harness.results.answer import Answer
from harness.results.comparison import AGAIN, FASTER, NO_DIFFERENCE, SLOWER
from harness.results.formulas import INCONCLUSIVE, REFUTED, SHOWN, paired_ratios
from testbeds.measuring import ROUND_TRIP, arm, beating, task

pytestmark = pytest.mark.bench
TWIN = "bpf twin"
#: A busy machine has fewer builds then, and what they cannot tell is inconclusive.
SECONDS = 20


@pytest.fixture(scope="module")
def twins(hr_machine, hr_programs):
    """A function that compares bpf with itself, once a family."""
    made = {}

    def compared(family):
        if family not in made:
            arms = dict.fromkeys(("bpf", TWIN), arm("bpf", "one_node"))
            campaign = Campaign("one_node", arms, [task(ROUND_TRIP, family)], 1, with_limit=False)
            (made[family],) = campaign.run(SECONDS)
        return made[family]

    return compared


def values(comparison):
    """Those of the twin, of bpf, and of the twin built again."""
    return [comparison.arms[label].values for label in (TWIN, "bpf", TWIN + AGAIN)]


def test_bench_a_against_a_finds_no_difference(twins, family):
    comparison = twins(family)
    assert comparison.verdict_of(TWIN).conclusion == NO_DIFFERENCE, comparison
    assert not comparison.beats(TWIN, "bpf")
    assert not comparison.beats("bpf", TWIN)


def test_bench_a_planted_share_of_ten_percent_is_found(twins, family, hr_conclude):
    """Five, on a real path: test_slow_instrument.py. No instrument finds what its noise hides."""
    first, second, again = values(twins(family))
    slower = [[value * 1.1 for value in build] for build in second]
    judgement = judge(paired_ratios(first, slower), paired_ratios(first, again), "lower")
    outcome = SHOWN if judgement.conclusion == FASTER else REFUTED
    few = judgement.builds < Criteria().floor
    if judgement.conclusion == NO_DIFFERENCE and (few or judgement.noise > 0.1):
        outcome = INCONCLUSIVE
    quiet = "measure on a quieter machine"
    claim = "a planted 10 % is found"
    hr_conclude([Answer(claim, f"{ROUND_TRIP} {family.name}", outcome, str(judgement), quiet)])


@pytest.mark.compares("one_node", ROUND_TRIP)
def test_bench_what_measures_has_one_thread(hr_comparison):
    """A second one would make every system call of an inline round trip longer."""
    assert hr_comparison.verdicts  # numpy is imported by now
    assert len(list(Path("/proc/self/task").iterdir())) == 1


@pytest.mark.needs_both_paths
@pytest.mark.compares("one_node", ROUND_TRIP)
def test_bench_swapped_arms_mirror_the_verdict(hr_comparison, hr_conclude):
    label = hr_comparison.verdicts[0].arm
    ratios = paired_ratios(
        hr_comparison.arms[hr_comparison.baseline].values, hr_comparison.arms[label].values
    )
    again = next(label for label, each in hr_comparison.arms.items() if each.again)
    noise = paired_ratios(
        *(hr_comparison.arms[at].values for at in (again.removesuffix(AGAIN), again))
    )
    # Both at the same level: the hr_comparison's own may have been reached at an earlier look's.
    there, here = judge(ratios, noise, "lower"), judge([1 / r for r in ratios], noise, "lower")
    assert here.ratio == pytest.approx(hr_comparison.verdict_of(label).ratio)
    swapped = {FASTER: SLOWER, SLOWER: FASTER, NO_DIFFERENCE: NO_DIFFERENCE}
    assert there.conclusion == swapped[here.conclusion]
    assert there.ratio == pytest.approx(1 / here.ratio)
    assert there.low == pytest.approx(1 / here.high)
    hr_conclude(beating(hr_comparison))
