# SPDX-License-Identifier: Apache-2.0
"""How fast pods of two nodes reach each other: host routing against the legacy path."""

import pytest

from harness.bench import Verdict
from testbeds.measuring import REPLAY, measure_building, replay

pytestmark = pytest.mark.bench


def test_bench_round_trip_two_node(compared, family):
    assert compared("round-trip-udp", "two_node", family).beats


@pytest.mark.benchmark(timer=REPLAY)
@pytest.mark.parametrize("arm", ["bpf", "legacy"])
def test_bench_round_trip_two_node_samples(compared, family, benchmark, arm):
    """The same samples as entries of pytest-benchmark; measures nothing itself."""
    replay(benchmark, compared("round-trip-udp", "two_node", family), arm)


def test_bench_throughput_two_node(compared, family):
    # Six streams of 1 s tell a large difference only; that none speaks for legacy is sound.
    assert compared("throughput-tcp", "two_node", family).judgement.verdict is not Verdict.SLOWER


def test_bench_build_two_node(benchmark, machine, say):
    say(measure_building(benchmark, "two_node", aim_ms=60))
