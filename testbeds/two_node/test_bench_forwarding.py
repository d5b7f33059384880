# SPDX-License-Identifier: Apache-2.0
"""How fast pods of two nodes reach each other: every measure, every arm, both families."""

import pytest

from harness.plugin.bench_entries import REPLAY, enter
from testbeds.measuring import BEATEN, beating, measure_building, required

pytestmark = pytest.mark.bench
HERE = "two_node"


@pytest.mark.compares(HERE)
def test_bench_compare_two_node(hr_comparison, hr_conclude, request):
    """Comes to its end; with --require, to the verdict that is asked for."""
    assert hr_comparison.partial is None, hr_comparison
    hr_conclude(required(hr_comparison, request.config.getoption("hr_require")))


@pytest.mark.needs_both_paths
@pytest.mark.compares(HERE, *BEATEN)
def test_bench_host_routing_beats_legacy_two_node(hr_comparison, hr_conclude):
    hr_conclude(beating(hr_comparison))


@pytest.mark.benchmark(timer=REPLAY)
@pytest.mark.compares(HERE)
def test_bench_samples_two_node(hr_comparison, benchmark, arm):
    """The same samples as entries of pytest-benchmark; measures nothing itself."""
    enter(benchmark, hr_comparison, arm)


def test_bench_build_two_node(benchmark, hr_machine, hr_say):
    hr_say(measure_building(benchmark, HERE, aim_ms=60))
