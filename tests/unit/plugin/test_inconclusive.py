# SPDX-License-Identifier: Apache-2.0
"""Cannot tell is not failed: what a run says of what it could not settle."""

import pytest

from harness import results
from tests.support.run_cli import end, pytest_of, start

MODULE = """
import pytest
from harness.results.formulas import INCONCLUSIVE, REFUTED, SHOWN
from harness.results.answer import Answer
from harness.plugin.inconclusive import unless_given_up

def answer(outcome, settle=""):
    return Answer("bpf faster than legacy", "round-trip ipv4", outcome, "ratio 0.9", settle)

@pytest.fixture(autouse=True)
def ours(hr_observed): pass

def test_shown(hr_conclude): hr_conclude([answer(SHOWN)])
def test_refuted(hr_conclude): hr_conclude([answer(INCONCLUSIVE, "wait"), answer(REFUTED)])
@pytest.mark.parametrize("number", [1, 2])
def test_hidden(hr_conclude, number): hr_conclude([answer(SHOWN), answer(INCONCLUSIVE, "wait")])

class Given:
    given_up, measure, place, partial = True, "rate", "one_node ipv4", "the time held 2 of 6"

def test_no_time(request): unless_given_up(request.node, Given)
"""
NO_TIME = "too little time for what is partial: allow more (--bench-budget) or measure less (-k)"
LINE = "round-trip ipv4: bpf faster than legacy: inconclusive: ratio 0.9: wait"


@pytest.fixture
def run(tmp_path):
    def child(*options):
        (tmp_path / "test_child.py").write_text(MODULE)
        arguments = ("-p", "pytest_hostroute", "--hr-record", *options, str(tmp_path))
        return end(start(pytest_of(*arguments, rootdir=tmp_path)))

    return child


def test_what_cannot_be_told_is_an_outcome_of_its_own(run, tmp_path):
    ended = run("-rA")
    assert ended.code == 1
    assert "= 1 failed, 1 passed, 3 inconclusive in " in ended.out
    _, _, section = ended.out.partition("host routing: inconclusive ==")
    lines = section.splitlines()[1:3]
    assert lines == [f"{LINE} (2 tests)", f"{NO_TIME} (1 test)"]
    assert "bpf faster than legacy: refuted: ratio 0.9\n" in ended.out
    assert "Traceback" not in ended.text


def test_only_require_makes_a_failure_of_it(run):
    ended = run("--hr-require", "faster")
    assert "= 4 failed, 1 passed in " in ended.out
    assert f"inconclusive, and --hr-require asks for an answer: {LINE}\n" in ended.out


def test_a_record_has_the_outcome(tmp_path):
    module = MODULE.replace("test_hidden", "test_hr37_hidden")
    (tmp_path / "test_child.py").write_text(module)
    arguments = ("-p", "pytest_hostroute", "--hr-record", str(tmp_path))
    end(start(pytest_of(*arguments, rootdir=tmp_path)))
    (record,) = results.read_all([tmp_path / "results"])
    assert {(test.outcome, test.reason) for test in record.conformance} == {("inconclusive", LINE)}
