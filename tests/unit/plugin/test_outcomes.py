# SPDX-License-Identifier: Apache-2.0
"""Outcomes of a run: what was run again, whose worker was killed, what nobody knows."""

import pytest
from _pytest.reports import TestReport

from harness import results
from harness.plugin.outcomes import Outcomes, from_node_id
from tests.support.run_cli import end, pytest_of, start

FLAKY = """
import pytest
from pathlib import Path

@pytest.fixture
def breaks_once(tmp_path_factory):
    seen = Path(__file__).with_name("set-up")
    if not seen.exists():
        seen.touch()
        raise OSError("the wire is cut")

def test_hr07_passes_when_run_again(hr_observed):
    seen = Path(__file__).with_name("ran")
    if not seen.exists():
        seen.touch()
        assert 0, "the first time"

def test_hr08_fails_every_time(hr_observed):
    assert 0, "always"

def test_hr09_is_set_up_when_run_again(hr_observed, breaks_once): pass

def test_of_nothing_passes_at_once(): pass
"""
#: A plugin of somebody's own, with an outcome of its own.
WAIVES = """
import pytest

@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call":
        report.outcome, report.longrepr = "waived", "not in this quarter"

def pytest_report_teststatus(report):
    if report.outcome == "waived":
        return "waived", "w", "WAIVED"
"""


@pytest.fixture
def run(tmp_path):
    """A function that runs pytest on a test module, and reads its record."""

    def child(module, *options):
        (tmp_path / "test_child.py").write_text(module, encoding="utf-8")
        arguments = pytest_of("-p", "pytest_hostroute", "--hr-record", *options, str(tmp_path),
                              rootdir=tmp_path)  # fmt: skip
        ended = end(start(arguments, {}))
        (found,) = results.read_all([tmp_path / "results"])
        return ended, found

    return child


def test_a_rerun_is_no_outcome_and_is_not_hidden(run):
    pytest.importorskip("pytest_rerunfailures")
    ended, found = run(FLAKY, "--reruns", "1")
    assert ended.code == 1
    assert "Traceback" not in ended.text
    assert {test.id: (test.outcome, test.reason, test.reruns) for test in found.conformance} == {
        "HR-07": ("passed", "", 1),
        "HR-08": ("failed", "always: assert 0", 1),
        "HR-09": ("passed", "", 1),
    }
    assert [(test.outcome, test.reruns) for test in found.others] == [("passed", 0)]
    rows = {line.split()[0]: " ".join(line.split()) for line in ended.out.splitlines()
            if line.startswith("HR-")}  # fmt: skip
    assert rows["HR-07"].endswith("1 ok (1 rerun)")
    assert rows["HR-08"].endswith("1 FAILED (1 rerun)")


def test_an_outcome_of_somebodys_own_is_shown_under_its_name(run, tmp_path):
    (tmp_path / "conftest.py").write_text(WAIVES)
    ended, found = run("def test_hr07_x(hr_observed): pass")
    assert ended.code == 0, ended.text
    (test,) = found.conformance
    assert (test.outcome, test.reason, test.passed) == ("waived", "not in this quarter", False)
    (row,) = [line for line in ended.out.splitlines() if line.startswith("HR-07")]
    assert row.endswith("1 waived")


def report(node_id, when, outcome, *properties):
    return TestReport(node_id, ("x", 1, "x"), {}, outcome, "worker 'gw0' crashed while running",
                      when, user_properties=properties)  # fmt: skip


NODE = "testbeds/one_node/test_legs.py::test_hr07_ping[bpf-redirect-ipv6-64]"


@pytest.mark.parametrize("known", [True, False])
def test_the_test_of_a_killed_worker_is_not_lost(known):
    found = Outcomes()
    if known:
        properties = (("hr", "HR-07"), ("datapath", "bpf-redirect"), ("family", "ipv6"))
        found.pytest_runtest_logreport(report(NODE, "setup", "passed", *properties))
        assert found.tests == {}
    found.pytest_runtest_logreport(report(NODE, "???", "failed"))
    (test,) = found.assertions
    assert (test.id, test.testbed, test.datapath, test.family) == (
        "HR-07", "one_node", "bpf-redirect", "ipv6",
    )  # fmt: skip
    assert (test.outcome, test.reason) == ("error", "worker 'gw0' crashed while running")


def test_a_killed_control_stays_a_control():
    found = Outcomes()
    found.pytest_runtest_logreport(
        report(NODE, "setup", "passed", ("hr", "HR-07"), ("control", True))
    )
    found.pytest_runtest_logreport(report(NODE, "???", "failed"))
    assert (found.assertions, len(found.others)) == ([], 1)


@pytest.mark.parametrize(
    ("node_id", "said"),
    [
        (NODE, {"hr": "HR-07", "datapath": "bpf-redirect", "family": "ipv6"}),
        ("a.py::test_hr44_no_splat", {"hr": "HR-44"}),
        ("a.py::test_x[bpf]", {"datapath": "bpf"}),
        ("a.py::test_caught[test_hr07_ping-ipv4]", {"family": "ipv4"}),
        ("a.py", {}),
    ],
)
def test_what_a_node_id_alone_says(node_id, said):
    assert dict(from_node_id(node_id)) == said
