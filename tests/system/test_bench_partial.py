# SPDX-License-Identifier: Apache-2.0
"""Measuring that does not come to its end: what there is by then is kept, and nothing is left."""

import json
import os
import signal
import uuid
from contextlib import contextmanager

import pytest

from harness.bench import MEASURES, Campaign, Task
from harness.topology import Family
from testbeds.measuring import ROUND_TRIP, arm, task
from tests.support.host_state import await_, marked
from tests.support.run_cli import MARK, end, pytest_of, start

pytestmark = pytest.mark.control


class Breaking:
    """A measure whose network breaks in its third build."""

    def __init__(self, measure):
        self.measure, self.opened_times = measure, 0

    def __getattr__(self, name):
        return getattr(self.measure, name)

    @contextmanager
    def opened(self, built, family):
        """Open, and break."""
        with self.measure.opened(built, family) as turn:
            self.opened_times += 1
            if self.opened_times > 8 and built.datapaths:  # 2 builds of 3 arms and the limit
                built.server.down("eth0")
            yield turn


@pytest.mark.parametrize("broken", [ROUND_TRIP, "connections"])
def test_bench_a_link_that_goes_down_in_mid_run_ends_one_measure(hr_machine, hr_programs, broken):
    breaking = Breaking(MEASURES[broken])
    tasks = [Task("broken", breaking, Family.ipv4), task(ROUND_TRIP, Family.ipv6)]
    arms = {name: arm(name, "one_node") for name in ("legacy", "bpf")}
    found = {each.measure: each for each in Campaign("one_node", arms, tasks, 1).run()}
    partial, whole = found["broken"], found[ROUND_TRIP]
    assert "pod1" in str(partial.partial)
    assert [len(series.values) for series in partial.arms.values()] == [2, 2, 2, 2]
    assert not partial.beats("bpf", "legacy")
    assert whole.partial is None
    assert whole.beats("bpf", "legacy")


def test_bench_an_interrupted_run_leaves_its_record_and_nothing_else(hr_machine, tmp_path):
    mark = uuid.uuid4().hex
    command = pytest_of(
        "-m", "bench", "testbeds/one_node", "-k", "compare_one_node and ipv4", "--hr-results",
        str(tmp_path), "--hr-bench-budget", "60",
    )  # fmt: skip
    child = start(command, {MARK: mark}, start_new_session=True)
    for line in child.stdout or ():
        if "faster (noise floor" in line:  # the first comparison has come to its end
            break
    os.killpg(child.pid, signal.SIGINT)
    ended = end(child)
    assert ended.code == pytest.ExitCode.INTERRUPTED, ended.text
    assert await_(lambda: not marked(mark)), marked(mark)
    (path,) = tmp_path.glob("run-*.json")
    record = json.loads(path.read_text())
    assert "interrupted" in record["partial"]
    states = [entry["partial"] for entry in record["comparisons"]]
    assert None in states
    assert "interrupted" in states
    assert all(len(entry["arms"]) >= 2 for entry in record["comparisons"])
    assert "geometric mean" in ended.out
