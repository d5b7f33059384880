# SPDX-License-Identifier: Apache-2.0
"""Interleaving: who is built and measured when."""

from contextlib import contextmanager

import pytest

from harness.bench import Plan, collect
from harness.errors import HarnessError, TrafficError

ARMS = ["bpf", "legacy", "again"]


class Lab:
    """Arms that note what is done to them."""

    def __init__(self, fail_at=None):
        self.built, self.closed, self.turns = [], [], []
        self.fail_at = fail_at

    @contextmanager
    def opened(self, label):
        self.built.append(label)
        try:
            yield lambda: self.turn(label)
        finally:
            self.closed.append(label)

    def turn(self, label):
        if self.fail_at == len(self.turns):
            raise TrafficError("link down")
        self.turns.append(label)
        return [float(len(self.turns))]


def chunks(labels):
    return [labels[start : start + len(ARMS)] for start in range(0, len(labels), len(ARMS))]


def test_every_arm_is_built_anew_and_takes_a_turn_in_every_round():
    lab = Lab()
    series = collect(ARMS, lab.opened, Plan(builds=4, rounds=5), "seed")
    assert {label: [len(build) for build in series[label]] for label in ARMS} == {
        label: [5, 5, 5, 5] for label in ARMS
    }
    assert all(sorted(chunk) == sorted(ARMS) for chunk in chunks(lab.built) + chunks(lab.turns))
    assert len(lab.built) == 4 * len(ARMS)
    assert sorted(lab.closed) == sorted(lab.built)


def test_samples_are_filed_under_their_round():
    lab = Lab()
    series = collect(ARMS, lab.opened, Plan(builds=2, rounds=3), "seed")
    for label in ARMS:
        turns = [turn for build in series[label] for turn in build]
        assert [[at + 1.0] for at, name in enumerate(lab.turns) if name == label] == turns


def test_the_order_changes_and_follows_from_the_seed():
    labs = [Lab() for _ in range(3)]
    for lab, seed in zip(labs, ["1", "1", "2"], strict=True):
        collect(ARMS, lab.opened, Plan(builds=2, rounds=20), seed)
    assert labs[0].turns == labs[1].turns
    assert labs[0].turns != labs[2].turns
    assert len({tuple(chunk) for chunk in chunks(labs[0].turns)}) == 6


def test_a_failed_turn_takes_every_arm_down():
    lab = Lab(fail_at=7)
    with pytest.raises(TrafficError, match="link down"):
        collect(ARMS, lab.opened, Plan(builds=2, rounds=5), "seed")
    assert sorted(lab.closed) == sorted(lab.built)


def test_a_turn_without_samples_is_an_error():
    @contextmanager
    def silent(label):
        yield list

    with pytest.raises(TrafficError, match="no sample"):
        collect(ARMS, silent, Plan(builds=1, rounds=1), "seed")


@pytest.mark.parametrize(("builds", "rounds"), [(0, 1), (1, 0), (-1, 5)])
def test_an_empty_plan_is_refused(builds, rounds):
    with pytest.raises(HarnessError, match="is nothing"):
        Plan(builds, rounds)
