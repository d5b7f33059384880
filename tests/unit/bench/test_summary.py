# SPDX-License-Identifier: Apache-2.0
"""The geometric mean of many measures."""

import random

import pytest
from msgspec.structs import replace

from harness.bench import MEASURES, summarise
from tests.unit.bench.test_session import comparison


def speed_up(gain, testbed="one_node", builds=6, seed=1, partial=None):
    """A comparison in which bpf is `gain` times as fast as legacy, more or less."""
    chance = random.Random(seed)
    found = comparison(partial, builds, testbed)
    for label, typical in (("legacy", 1000.0 * gain), ("bpf", 1000.0)):
        found.arms[label].values[:] = [[typical * chance.gauss(1, 0.01)] for _ in range(builds)]
    return found


def test_it_is_the_geometric_mean():
    (gain,) = summarise([speed_up(2), speed_up(8)])
    assert (gain.arm, gain.against, gain.testbed, gain.measures) == ("bpf", "legacy", "one_node", 2)
    assert gain.gain == pytest.approx(4, rel=0.02)
    assert gain.low < gain.gain < gain.high
    assert gain.high / gain.low < 1.1


def test_direction_is_taken_off():
    lower = speed_up(2)
    higher = replace(lower, arms={**lower.arms, "bpf": lower.arms["legacy"],
                                  "legacy": lower.arms["bpf"]})  # fmt: skip
    rate = comparison(key=next(key for key in MEASURES if MEASURES[key].better == "higher"))
    higher = replace(higher, measure=rate.measure, better=rate.better)
    (gain,) = summarise([lower, higher])
    assert gain.gain == pytest.approx(2, rel=0.02)


def test_every_testbed_has_its_own_and_all_have_one():
    gains = summarise([speed_up(2), speed_up(8, "two_node"), speed_up(8, "two_node", seed=2)])
    assert [(gain.testbed, gain.measures) for gain in gains] == [
        ("one_node", 1), ("two_node", 2), ("all", 3)
    ]  # fmt: skip
    assert gains[2].gain == pytest.approx((2 * 8 * 8) ** (1 / 3), rel=0.02)


def test_what_is_partial_stays_out():
    (gain,) = summarise([speed_up(2), speed_up(8, partial="the link went down")])
    assert gain.measures == 1
    assert summarise([speed_up(8, partial="interrupted")]) == []


def test_builds_are_drawn_for_all_measures_at_once():
    """What one build does to all measures does not average out over them."""
    alike = [speed_up(2, builds=10, seed=1) for _ in range(16)]
    apart = [speed_up(2, builds=10, seed=seed) for seed in range(16)]
    (together,), (alone,) = summarise(alike), summarise(apart)
    assert together.high / together.low - 1 > 2 * (alone.high / alone.low - 1)


def test_measures_that_were_settled_at_different_looks():
    (gain,) = summarise([speed_up(2, builds=6), speed_up(2, builds=28, seed=3)])
    assert gain.low < 2.02
    assert gain.high > 1.98
