# SPDX-License-Identifier: Apache-2.0
"""Wherever an interrupt strikes a run, it ends as interrupted, with its record, and leaves nothing.

Nothing to the garbage collector either: a socket that is left to it becomes a ResourceWarning, and
pytest's exit code 1. On other interpreters: run this file with them. HOSTROUTE_STRIKE_SEED repeats
the points of a seed.
"""

import os
import random
import signal
import uuid

import pytest

from harness import results
from tests.support.host_state import await_, marked
from tests.support.striker import Point
from tests.support.struck_run import Runs, points

RUNS = {
    "conformance": (
        "-m", "conformance", "testbeds/two_node/test_bypass.py", "testbeds/two_node/test_frames.py",
        "--datapath", "bpf,legacy", "-k", "(hr02 and ipv6) or (hr13_nothing and bpf-ipv4)",
    ),
    "measuring": (
        "-m", "bench", "testbeds/one_node/test_bench_forwarding.py", "--arms", "legacy,bpf",
        "--bench-budget", "0.5", "-k", "compare_one_node and round-trip-udp-1-ipv4",
    ),
    "counting": (  # one of the catalogue among them: else there is no record
        "tests/system/test_run_counts.py", "testbeds/one_node/test_bypass.py", "--datapath", "bpf",
        "-k", "((two_devices or came) and ipv4) or (hr02_netfilter and bpf-ipv4)",
    ),
}  # fmt: skip
#: What is printed of something that was left to the garbage collector, or of a broken end.
BAD = ("ResourceWarning", "Unraisable", "Exception ignored", "INTERNALERROR", "Traceback")


def faults(struck):
    """What is wrong with how a run ended that was interrupted."""
    found = [word for word in BAD if word in struck.text]
    if struck.code != pytest.ExitCode.INTERRUPTED:
        found.append(f"exit code {struck.code}")
    if len(struck.records) != 1:
        return [*found, f"{len(struck.records)} records"]
    partial = results.read(struck.records[0]).partial  # it raises if the record is not whole
    if "KeyboardInterrupt" in struck.text and not partial:
        found.append("the record does not say that the run was interrupted")
    return found + [f"left: {path.name}" for path in struck.left]


@pytest.fixture
def strike(tmp_path, hr_machine, hr_say):
    """A function: interrupt runs of a kind at so many points; returns what is wrong, by point."""

    def run(kind, count):
        seed = os.environ.get("HOSTROUTE_STRIKE_SEED") or str(random.SystemRandom().getrandbits(32))
        mark, wrong = uuid.uuid4().hex, {}
        with Runs(tmp_path, mark, *RUNS[kind]) as runs:
            for point in points(runs.calls(), count, seed):
                struck = runs.strike(point)
                if found := faults(struck):
                    wrong[point] = found, struck.text[-2000:]
        hr_say(f"interrupted {kind} runs: {len(wrong)} of {count} ended badly, seed {seed}")
        assert await_(lambda: not marked(mark)), marked(mark)
        return wrong

    return run


@pytest.mark.parametrize("kind", RUNS)
def test_an_interrupted_run_leaves_nothing_to_the_collector(kind, strike):
    assert strike(kind, 6) == {}


def test_a_run_hears_ctrl_c_where_its_parent_ignores_it(tmp_path, hr_machine):
    """As a shell's background job does, and with it whatever it starts."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        runs = Runs(tmp_path, uuid.uuid4().hex, *RUNS["conformance"])
    finally:
        signal.signal(signal.SIGINT, before)
    with runs:
        struck = runs.strike(Point("no file:1:never called", 1, 1, signal.SIGINT))  # at the end
    assert faults(struck) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", RUNS)
def test_slow_an_interrupted_run_leaves_nothing_to_the_collector(kind, strike):
    assert strike(kind, 200) == {}
