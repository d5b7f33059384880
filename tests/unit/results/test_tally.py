# SPDX-License-Identifier: Apache-2.0
"""The table of assertions, whose outcomes are an open set."""

import pytest

from harness.results.tally import ANY, Tally, by_datapath, table
from tests.support import records
from tests.support.guests import outcome


@pytest.mark.parametrize(
    ("words", "said", "state"),
    [
        ("passed passed", "2 ok", "pass"),
        ("passed failed error", "1 ok 1 FAILED 1 ERROR", "fail"),
        ("skipped", "1 skipped", "skipped"),
        ("claimless", "1 claimless", "other"),
        ("claimless passed rerun", "1 ok 1 claimless 1 rerun", "pass"),
        ("", "", "none"),
    ],
)
def test_a_cell_counts_every_outcome_under_its_name(words, said, state):
    tally = Tally(outcome("HR-07", word) for word in words.split())
    assert (str(tally), tally.state) == (said, state)


def test_what_is_unknown_counts_neither_as_passed_nor_as_failed():
    tally = Tally([outcome("HR-07", "passed"), outcome("HR-07", "not claimed")])
    assert (tally.passed, tally.failed, tally.ran) == (1, 0, 1)
    assert tally.summary == "all 1 passed, 1 not claimed"
    assert Tally([outcome("HR-07", "not claimed")]).summary == "1 not claimed"


def test_a_degraded_node_is_no_plain_pass():
    tests = records.run().conformance
    cells = by_datapath(tests).rows
    assert [str(cell) for cell in cells["HR-06"]] == ["", "1 degraded", "", "", ""]
    assert by_datapath(tests).total.summary == "all 18 passed, 1 on a degraded node, 1 skipped"


def test_what_was_run_again_says_so():
    tests = [outcome("HR-07", "passed", reruns=2), outcome("HR-07", "failed", reruns=1)]
    assert str(Tally(tests)) == "1 ok 1 FAILED (3 reruns)"


def test_columns_and_rows_have_the_order_asked_for_and_none_is_lost():
    tests = records.run().conformance
    found = by_datapath(tests, ("HR-37", "HR-07"), ("bpf", "xdp", "legacy"))
    assert found.columns == ("bpf", "legacy", "bpf-redirect", "bpf-skip-fib", ANY)
    assert list(found.rows) == ["HR-37", "HR-07", "HR-05", "HR-06", "HR-44"]
    kernels = table([("6.1", outcome("", "failed"))], columns=("5.10", "6.1"))
    assert kernels.lines({}) == [["", "5.10", "6.1"], ["other tests", ".", "1 FAILED"]]
