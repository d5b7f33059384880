# SPDX-License-Identifier: Apache-2.0
"""How fast pods of two nodes reach each other: every measure, every arm, both families."""

import pytest

from harness.plugin.bench_entries import REPLAY, enter
from testbeds.measuring import BEATEN, failing, measure_building

pytestmark = pytest.mark.bench
HERE = "two_node"


@pytest.mark.compares(HERE)
def test_bench_compare_two_node(comparison, request):
    """Comes to its end; with --require, to the verdict that is asked for."""
    assert comparison.partial is None, comparison
    assert failing(comparison, request.config.getoption("--require")) == []


@pytest.mark.needs_arms("bpf", "legacy")
@pytest.mark.compares(HERE, *BEATEN)
def test_bench_host_routing_beats_legacy_two_node(comparison):
    assert comparison.beats("bpf", "legacy"), comparison


@pytest.mark.benchmark(timer=REPLAY)
@pytest.mark.compares(HERE)
def test_bench_samples_two_node(comparison, benchmark, arm):
    """The same samples as entries of pytest-benchmark; measures nothing itself."""
    enter(benchmark, comparison, arm)


def test_bench_build_two_node(benchmark, machine, say):
    say(measure_building(benchmark, HERE, aim_ms=60))
