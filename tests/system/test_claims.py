# SPDX-License-Identifier: Apache-2.0
"""Datapaths of others, judged by what they claim: the bundled suites, in a child's pytest."""

from collections import Counter

import pytest

from harness import results
from harness.datapath import CLAIMS
from harness.results.assertion import NOT_CLAIMED
from testbeds.mutants.claims import DECLINING
from tests.support import declining
from tests.support.run_cli import ROOT, end, pytest_of, start

pytestmark = pytest.mark.usefixtures("hr_machine")
MINE = """
from harness.datapath import DATAPATHS

class Mine:
    name, summary, needs = "mine", "the bundled programs under another name", frozenset()
    claims = DATAPATHS["bpf"].claims
    def install(self, node, settings):
        return DATAPATHS["bpf"].install(node, settings)

def pytest_hostroute_register(suites):
    DATAPATHS.register("mine", Mine())
"""
DEADLINE = 900.0  # seconds; they take 20, and a hundred on a busy machine


#: Entries that are asserted of what is attached to netkit, or delivers by bpf_redirect, which none
#: of these does.
OF_OTHERS = {"HR-09", "HR-79"}


def _run(directory, plugin, names, *options):
    """The bundled suites on datapaths that a plugin registers: exit code, and what was recorded."""
    arguments = pytest_of(
        "-q", "-p", plugin, "-m", "conformance", "--hr-record", f"--hr-datapath={','.join(names)}",
        *options, str(ROOT / "testbeds"), rootdir=directory,
    )  # fmt: skip
    path = f"{directory}:{ROOT}"
    ended = end(start(arguments, {"PYTEST_ADDOPTS": "", "PYTHONPATH": path}), DEADLINE)
    (run,) = results.read_all([directory / "results"])
    return ended, run.conformance


def _mine(directory, names, *options):
    """What became of each test, by datapath and by its name without the datapath's."""
    (directory / "somebody_elses.py").write_text(MINE, encoding="utf-8")
    ended, tests = _run(directory, "somebody_elses", names, *options)
    assert ended.code == 0, ended.text
    found = {name: {} for name in names}
    for each in tests:
        if each.datapath in found:
            found[each.datapath][each.test.replace(f"[{each.datapath}", "[")] = each.outcome
    return found


def test_ten_lines_of_another_name_pass(tmp_path):
    # Not those that a kernel may skip: devices are options of its build, flags come with releases.
    outcomes = _mine(tmp_path, ["mine"], "--hr-brief", "-k", "not netkit and not egress")["mine"]
    assert len(outcomes) > 80
    assert set(outcomes.values()) == {"passed"}


@pytest.mark.slow
def test_they_pass_what_the_bundled_datapath_passes(tmp_path):
    found = _mine(tmp_path, ["bpf", "mine"])
    # Two tests ask the kernel, not a datapath, and name the one that they need for that.
    bundled = {
        test: outcome for test, outcome in found["bpf"].items() if "/test_helpers.py::" not in test
    }
    assert len(bundled) > 170
    assert found["mine"] == bundled


@pytest.fixture(scope="module")
def declined(tmp_path_factory, hr_machine):
    """What was recorded of datapaths of which each declines a claim, and its exit code."""
    directory = tmp_path_factory.mktemp("declining")
    ended, tests = _run(directory, "tests.support.declining", declining.NAMES, "--hr-brief")
    return ended, tests


@pytest.mark.parametrize("claim", DECLINING)
def test_what_is_truly_declined_is_not_claimed_and_nothing_else(declined, claim):
    ended, tests = declined
    own = [each for each in tests if each.datapath == declining.PREFIX + claim]
    assert set(Counter(each.outcome for each in own)) <= {"passed", NOT_CLAIMED}, ended.text
    reasons = [each.reason for each in own if each.outcome == NOT_CLAIMED]
    assert any(claim in reason for reason in reasons), reasons
    lacks = DECLINING[claim][1]
    assert [reason for reason in reasons if not any(name in reason for name in lacks)] == []


def test_a_run_of_tests_that_are_not_claimed_fails_nothing(declined):
    ended, tests = declined
    assert ended.code == 0, ended.text
    assert {each.id for each in tests} == {
        identity for claim in DECLINING for identity in CLAIMS[claim].ids
    } - OF_OTHERS
