# SPDX-License-Identifier: Apache-2.0
"""Interleaving: who is measured when within a build."""

import pytest

from harness.bench import Plan, take_turns
from harness.plumbing.errors import HarnessError, TrafficError

ARMS = ["bpf", "legacy", "again"]


class Lab:
    """Arms that note who took a turn."""

    def __init__(self, fail_at=None):
        self.turns = []
        self.fail_at = fail_at

    def samplers(self):
        return {label: lambda label=label: self.turn(label) for label in ARMS}

    def turn(self, label):
        if self.fail_at == len(self.turns):
            raise TrafficError("link down")
        self.turns.append(label)
        return [float(len(self.turns))]


def chunks(labels):
    return [labels[start : start + len(ARMS)] for start in range(0, len(labels), len(ARMS))]


def test_every_arm_takes_a_turn_in_every_round():
    lab = Lab()
    turns = take_turns(lab.samplers(), 5, "seed")
    assert {label: len(found) for label, found in turns.items()} == dict.fromkeys(ARMS, 5)
    assert all(sorted(chunk) == sorted(ARMS) for chunk in chunks(lab.turns))


def test_samples_are_filed_under_their_round():
    lab = Lab()
    turns = take_turns(lab.samplers(), 3, "seed")
    for label in ARMS:
        assert [[at + 1.0] for at, name in enumerate(lab.turns) if name == label] == turns[label]


def test_the_order_changes_and_follows_from_the_seed():
    labs = [Lab() for _ in range(3)]
    for lab, seed in zip(labs, ["1", "1", "2"], strict=True):
        take_turns(lab.samplers(), 40, seed)
    assert labs[0].turns == labs[1].turns
    assert labs[0].turns != labs[2].turns
    assert len({tuple(chunk) for chunk in chunks(labs[0].turns)}) == 6


def test_a_failed_turn_is_told():
    with pytest.raises(TrafficError, match=r"^arm \w+: link down$"):
        take_turns(Lab(fail_at=7).samplers(), 5, "seed")


def test_a_turn_without_samples_is_an_error():
    with pytest.raises(TrafficError, match="no sample"):
        take_turns({"bpf": list}, 1, "seed")


@pytest.mark.parametrize(("builds", "rounds"), [(0, 1), (1, 0), (-1, 5)])
def test_an_empty_plan_is_refused(builds, rounds):
    with pytest.raises(HarnessError, match="is nothing"):
        Plan(builds, rounds)
