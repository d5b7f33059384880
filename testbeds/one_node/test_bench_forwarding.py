# SPDX-License-Identifier: Apache-2.0
"""How fast pods of one node reach each other: every measure, every arm, both families."""

import pytest

from harness.plugin.bench_entries import REPLAY, enter
from testbeds.measuring import BEATEN, failing, measure_building

pytestmark = pytest.mark.bench
HERE = "one_node"


@pytest.mark.compares(HERE)
def test_bench_compare_one_node(comparison, request):
    """Comes to its end; with --require, to the verdict that is asked for."""
    assert comparison.partial is None, comparison
    assert failing(comparison, request.config.getoption("--require")) == []


@pytest.mark.needs_arms("bpf", "legacy")
@pytest.mark.compares(HERE, *BEATEN)
def test_bench_host_routing_beats_legacy_one_node(comparison):
    assert comparison.beats("bpf", "legacy"), comparison


@pytest.mark.benchmark(timer=REPLAY)
@pytest.mark.compares(HERE)
def test_bench_samples_one_node(comparison, benchmark, arm):
    """The same samples as entries of pytest-benchmark; measures nothing itself."""
    enter(benchmark, comparison, arm)


def test_bench_build_one_node(benchmark, machine, say):
    say(measure_building(benchmark, HERE, aim_ms=25))
