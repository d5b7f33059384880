# SPDX-License-Identifier: Apache-2.0
"""The judge on real builds: `bpf` against itself, a hundred times, on a busy machine of two CPUs.

The data are the ratios of builds that tests/system/test_slow_instrument.py keeps.
"""

import json
from pathlib import Path

import pytest

from harness.bench import Criteria, Verdict, judge

DATA = json.loads((Path(__file__).parent / "data" / "a-against-a.json").read_text())


def concluded(ratios, again, criteria):
    """What a campaign would have concluded, look by look."""
    ends = [at for at, _ in criteria.looks if at < len(ratios)] + [len(ratios)]
    for end in ends:
        last = end == len(ratios)
        judgement = judge(ratios[:end], again[:end], "lower", criteria, last)
        if judgement.settled:
            break
    return judgement


def found(criteria, factor=1.0):
    """How many of the comparisons find a difference, if one arm is `factor` times as slow."""
    verdicts = [
        concluded([ratio * factor for ratio in each["ratios"]], each["again"], criteria).verdict
        for each in DATA
    ]
    return sum(verdict is not Verdict.NO_DIFFERENCE for verdict in verdicts)


def test_a_against_a_finds_next_to_nothing():
    assert len(DATA) == 100
    assert found(Criteria()) <= 2


def test_a_careless_judge_would_have_found_plenty():
    """The control: the data are noisy enough for somebody to be wrong about."""
    careless = Criteria(
        looks=tuple((at, 0.05) for at in range(6, 29)), minimum_effect=0, noise_confidence=0.01
    )
    assert found(careless) >= 6


@pytest.mark.parametrize("factor", [1.05, 1 / 1.05])
def test_five_percent_are_found_in_the_same_data(factor):
    """Not in all of them: some were settled as equal before they had the builds for more."""
    assert found(Criteria(), factor) >= 90
