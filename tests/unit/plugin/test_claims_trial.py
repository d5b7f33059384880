# SPDX-License-Identifier: Apache-2.0
"""`--hr-try-unclaimed`: tests that are not claimed run, fail nothing, and tell what could be."""

import pytest

from harness.plugin.claims import Declined
from harness.plugin.claims_trial import summary
from tests.support.foreign import Project

TRIED = """
import pytest

@pytest.fixture
def unbuilt():
    raise OSError("the wire is cut")

@pytest.fixture
def breaks():
    yield
    raise OSError("the wire was cut")

mine = pytest.mark.datapaths("mine")

@mine
@pytest.mark.claims("time_exceeded")
def test_hr17_a(datapath, family, hr_observed): pass

@mine
@pytest.mark.claims("time_exceeded")
def test_hr17_b(datapath, family, hr_observed):
    lost = 1 if family == 6 else 0
    assert lost == 0, "lost"

@mine
@pytest.mark.claims("time_exceeded")
def test_hr17_c(datapath, family, hr_observed):
    if family == 6:
        raise ValueError("no such packet")

@mine
@pytest.mark.claims("answers_arp")
def test_hr16_unbuilt(datapath, hr_observed, unbuilt): pass

@mine
@pytest.mark.claims("answers_nd")
def test_hr16_breaks(datapath, hr_observed, breaks): pass

@mine
@pytest.mark.claims("fragments")
def test_hr31_skips(datapath, hr_observed): pytest.skip("no such device")

@mine
@pytest.mark.claims("keeps_link_scope")
def test_hr23_skips(datapath, family, hr_observed):
    if family == 6:
        pytest.skip("no such device")

@mine
def test_hr07_claimed(datapath, hr_observed): pass
"""
FAILS = """
import pytest

@pytest.mark.datapaths("mine", "bpf")
@pytest.mark.claims("answers_arp")
def test_hr16_x(datapath, hr_observed):
    assert 0, "lost"
"""


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def tried(ended):
    """The lines of the section about the trial."""
    lines = iter(ended.out.splitlines())
    next(line for line in lines if "host routing: claims tried" in line)
    found = []
    for line in lines:
        if line.startswith("="):
            return found
        found.append(line)
    return found


def test_a_trial_fails_nothing_and_says_what_could_be_claimed(project):
    ended = project.run(TRIED, "--hr-try-unclaimed", "-v", "-x", "-rs")
    assert ended.code == 0, ended.text
    assert "1 passed, 11 not claimed in " in ended.out.splitlines()[-1]
    assert ended.out.count(" NOT CLAIMED") == 11
    for word in ("FAILURES", "ERRORS", "FAILED", "Traceback", "stopping after"):
        assert word not in ended.text
    passes = "could be claimed: every test of this run that rests on it passes"
    assert tried(ended) == [
        f"mine: time_exceeded = ipv4: {passes} (3)",
        "mine: time_exceeded = ipv6: 2 of 3 tests that rest on it fail: lost (1),"
        " ValueError: no such packet (1)",
        "mine: fragments: not known, as every test that rests on it was skipped: no such device",
        "mine: answers_arp: 1 of 1 tests that rest on it fail: OSError: the wire is cut (1)",
        "mine: answers_nd: 1 of 1 tests that rest on it fail: OSError: the wire was cut (1)",
        f"mine: keeps_link_scope: {passes} (1, 1 skipped: no such device)",
    ]


def test_what_it_found_is_in_the_record_and_in_junit(project):
    assert project.run(TRIED, "--hr-try-unclaimed").code == 0
    found = {test.test.split("::")[1]: test for test in project.record().conformance}
    assert {name: test.reason for name, test in found.items() if test.outcome == "not claimed"} == {
        "test_hr17_a[mine-ipv4]": "time_exceeded = ipv4; tried: passed",
        "test_hr17_a[mine-ipv6]": "time_exceeded = ipv6; tried: passed",
        "test_hr17_b[mine-ipv4]": "time_exceeded = ipv4; tried: passed",
        "test_hr17_b[mine-ipv6]": "time_exceeded = ipv6; tried: failed: lost: assert 1 == 0",
        "test_hr17_c[mine-ipv4]": "time_exceeded = ipv4; tried: passed",
        "test_hr17_c[mine-ipv6]":
            "time_exceeded = ipv6; tried: failed: ValueError: no such packet",
        "test_hr16_unbuilt[mine]": "answers_arp; tried: error: OSError: the wire is cut",
        "test_hr16_breaks[mine]": "answers_nd; tried: error: OSError: the wire was cut",
        "test_hr31_skips[mine]": "fragments; tried: skipped: no such device",
        "test_hr23_skips[mine-ipv4]": "keeps_link_scope; tried: passed",
        "test_hr23_skips[mine-ipv6]": "keeps_link_scope; tried: skipped: no such device",
    }  # fmt: skip
    assert found["test_hr17_a[mine-ipv6]"].family == "ipv6"
    assert found["test_hr07_claimed[mine]"].outcome == "passed"
    case = project.junit()["test_hr17_b[mine-ipv6]"]
    (skipped,) = case.findall("skipped")
    assert skipped.attrib["message"].startswith("not claimed: time_exceeded = ipv6; tried: failed")
    properties = {each.attrib["name"]: each.attrib["value"] for each in case.iter("property")}
    assert (properties["tried"], properties["assertion"]) == ("failed", "lost")
    counts = [len(case.findall(kind)) for case in project.junit().values()
              for kind in ("failure", "error")]  # fmt: skip
    assert sum(counts) == 0


def test_without_it_none_is_tried(project):
    ended = project.run(TRIED)
    assert ended.code == 0, ended.text
    assert "claims tried" not in ended.out
    assert not any("tried" in test.reason for test in project.record().conformance)


def test_what_is_claimed_fails_all_the_same(project):
    ended = project.run(FAILS, "--hr-try-unclaimed")
    assert ended.code == 1
    assert "1 failed, 1 not claimed in " in ended.out.splitlines()[-1]
    assert "FAILURES" in ended.out
    project.claims("answers_arp=True")
    ended = project.run(FAILS, "--hr-try-unclaimed")
    assert "2 failed" in ended.out.splitlines()[-1]
    assert tried(ended) == ["none: every test's datapath claims what the test rests on"]


def test_no_debugger_is_asked(project):
    assert "Entering PDB" not in project.run(FAILS, "--hr-try-unclaimed", "--pdb", "-k", "mine").out
    assert "entering PDB" in project.run(FAILS, "--hr-try-unclaimed", "--pdb", "-k", "bpf").out


@pytest.mark.parametrize(
    ("ends", "code", "said"),
    [("raise KeyboardInterrupt", pytest.ExitCode.INTERRUPTED, "KeyboardInterrupt"),
     ("pytest.exit('enough', 7)", 7, "enough")],
)  # fmt: skip
def test_what_ends_a_run_ends_a_trial(project, ends, code, said):
    module = FAILS.replace('assert 0, "lost"', ends)
    ended = project.run(module, "--hr-try-unclaimed")
    assert ended.code == code, ended.text
    assert said in ended.out
    assert project.record().conformance == []


KILLS = """
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    report = pytest.TestReport(item.nodeid, item.location, {}, "failed", "worker 'gw0' crashed",
                               "???")
    item.ihook.pytest_runtest_logreport(report=report)
    return True
"""


def test_the_test_of_a_killed_worker_fails_nothing_and_is_not_lost(project):
    conftest = project.directory / "conftest.py"
    conftest.write_text(conftest.read_text() + KILLS)
    ended = project.run(FAILS, "--hr-try-unclaimed")
    assert ended.code == 1  # of the other, which is claimed
    found = {test.datapath: (test.outcome, test.reason) for test in project.record().conformance}
    assert found == {
        "mine": ("not claimed", "answers_arp; tried: error: worker 'gw0' crashed"),
        "bpf": ("error", "worker 'gw0' crashed"),
    }
    assert tried(ended) == ["mine: answers_arp: 1 of 1 tests that rest on it fail:"
                            " worker 'gw0' crashed (1)"]  # fmt: skip
    (skipped,) = project.junit()["test_hr16_x[mine]"].findall("skipped")
    assert skipped.attrib["message"].startswith("not claimed: answers_arp; tried: error")


FLAKY = """
import pytest
from pathlib import Path

@pytest.mark.datapaths("mine", "bpf")
@pytest.mark.claims("answers_arp")
def test_hr16_flaky(datapath, hr_observed):
    seen = Path(__file__).with_name(datapath.name)
    if not seen.exists():
        seen.touch()
        assert 0, "the first time"
"""


@pytest.mark.parametrize("option", ["-rs", "--hr-try-unclaimed"])
def test_nothing_that_is_not_claimed_is_run_again(project, option):
    pytest.importorskip("pytest_rerunfailures")
    ended = project.run(FLAKY, "--reruns", "2", option)
    assert ended.code == 0, ended.text
    assert "1 passed, 1 not claimed, 1 rerun in " in ended.out.splitlines()[-1]
    found = {test.datapath: (test.outcome, test.reruns) for test in project.record().conformance}
    assert found == {"mine": ("not claimed", 0), "bpf": ("passed", 1)}


def test_a_test_is_evidence_on_every_claim_that_it_rests_on():
    tests = {
        "a": Declined("mine", ("answers_nd", "answers_arp")),
        "b": Declined("mine", ("answers_arp",)),
        "c": Declined("theirs", ("answers_arp",)),
    }
    passed, failed = {"tried": "passed"}, {"tried": "failed", "found": "x", "assertion": "lost"}
    passes = "could be claimed: every test of this run that rests on it passes (1)"
    assert list(summary(tests, {"b": passed, "a": failed, "c": passed})) == [
        "mine: answers_arp: 1 of 2 tests that rest on it fail: lost (1)",
        "mine: answers_nd: 1 of 1 tests that rest on it fail: lost (1)",
        f"theirs: answers_arp: {passes}",
    ]
