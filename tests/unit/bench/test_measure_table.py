# SPDX-License-Identifier: Apache-2.0
"""The table of measures: what each says of itself, and what a turn may hold."""

import json
import math
import re

import pytest

from harness.bench.measures import MEASURES, Turn
from harness.plumbing.errors import TrafficError
from harness.results import units

WANTED = {
    "round-trip-udp-1", "round-trip-udp-1024", "round-trip-tcp-1", "round-trip-tcp-1024",
    "round-trip-across-cpus", "round-trip-loaded", "throughput-tcp-1", "throughput-tcp-4",
    "throughput-tcp-1-reverse", "throughput-tcp-4-reverse", "packets-udp", "connections",
    "cpu-per-gib", "cpu-per-1000-trips", "program-cost", "program-run-time",
}  # fmt: skip


def test_every_measure_is_there():
    assert set(MEASURES) == WANTED


@pytest.mark.parametrize("key", sorted(MEASURES))
def test_a_measure_says_what_it_is(key):
    measure = MEASURES[key]
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", key)
    assert measure.name
    assert measure.unit
    assert measure.better == ("higher" if measure.unit.endswith("/s") else "lower")
    assert re.search(r"\d+ (MiB |packets )?a turn", measure.describe())
    assert (
        "one CPU" in measure.describe()
        or "CPU each" in measure.describe()
        or ("TEST_RUN" in measure.describe())
    )
    assert measure.plan.builds >= 6


def test_no_two_measures_are_described_alike():
    described = {(measure.name, measure.describe()) for measure in MEASURES.values()}
    assert len(described) == len(MEASURES)


@pytest.mark.parametrize("key", sorted(MEASURES))
def test_a_turn_s_value_lies_among_its_samples(key):
    samples = [5.0, 1.0, 3.0, 400.0, 2.0]
    assert 1.0 <= MEASURES[key].value(samples) <= 5.0
    assert MEASURES[key].value([7.0]) == 7.0


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("round-trip-udp-1", 3712.4, "3.71 µs"),
        ("round-trip-across-cpus", 47_800.0, "47.8 µs"),
        ("throughput-tcp-1", 4.19e10, "41.9 Gbit/s"),
        ("packets-udp", 671_234.0, "671 kpackets/s"),
        ("connections", 32_512.0, "32.5 kconnections/s"),
        ("cpu-per-gib", 0.3164, "316 ms/GiB"),
        ("cpu-per-1000-trips", 0.03905, "39.0 ms/1000"),
        ("program-cost", 57.6, "57.6 ns"),
        ("program-run-time", 116.2, "116 ns"),
    ],
)
def test_a_value_is_shown_with_its_unit(key, value, shown):
    assert units.shown(value, MEASURES[key].unit).replace("\N{NO-BREAK SPACE}", " ") == shown


def test_program_cost_is_finer_than_the_kernel_s_whole_nanoseconds():
    """Means of whole nanoseconds that differ by less than one are told apart."""
    one, other = [57.0] * 15 + [58.0] * 5, [57.0] * 5 + [58.0] * 15
    value = MEASURES["program-cost"].value
    assert value(one) == 57.0
    assert value(other) == 57.5
    assert value([*one[:-1], 9000.0]) == 57.0


def test_a_turn_is_a_list_with_side_figures():
    turn = Turn([1, 2.5], {"lost_percent": 0.5})
    assert turn == [1, 2.5]
    assert turn.extra == {"lost_percent": 0.5}
    assert json.dumps([turn]) == "[[1, 2.5]]"
    assert Turn(sample for sample in (1, 2)).extra == {}


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf])
def test_a_sample_that_cannot_be_true_is_refused(bad):
    with pytest.raises(TrafficError, match="not a positive number"):
        Turn([1.0, bad])


def test_a_turn_without_samples_is_refused():
    with pytest.raises(TrafficError, match="no sample"):
        Turn([])
