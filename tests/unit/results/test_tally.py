# SPDX-License-Identifier: Apache-2.0
"""The table of assertions, whose outcomes are an open set."""

import pytest
from msgspec.structs import replace

from harness.results.tally import ANY, Tally, by_datapath, table
from harness.results.unclaimed import by_claim
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
        ("not-claimed", "1 not claimed", "unclaimed"),
        ("skipped not-claimed", "1 skipped 1 not claimed", "unclaimed"),
        ("passed not-claimed skipped", "1 ok 1 skipped 1 not claimed", "pass"),
        ("not-claimed claimless", "1 not claimed 1 claimless", "other"),
        ("not-claimed failed", "1 FAILED 1 not claimed", "fail"),
        ("", "", "none"),
    ],
)
def test_a_cell_counts_every_outcome_under_its_name(words, said, state):
    tally = Tally(outcome("HR-07", word.replace("-", " ")) for word in words.split())
    assert (str(tally), tally.state) == (said, state)


@pytest.mark.parametrize("word", ["not claimed", "waived"])
def test_what_is_not_claimed_or_unknown_counts_neither_as_passed_nor_as_failed(word):
    tally = Tally([outcome("HR-07", "passed"), outcome("HR-07", word)])
    assert (tally.passed, tally.failed, tally.ran) == (1, 0, 1)
    assert tally.summary == f"all 1 passed, 1 {word}"
    assert Tally([outcome("HR-07", word)]).summary == f"1 {word}"
    test = outcome("HR-07", word)
    assert (test.passed, test.failed, test.ran) == (False, False, False)


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


def test_what_is_not_claimed_is_listed_by_datapath_and_claim():
    tests = [
        replace(outcome(identity, word, reason, f"t{number}"), datapath=datapath)
        for number, (identity, word, reason, datapath) in enumerate((
            ("HR-45", "not claimed", "source_check = ipv4", "legacy"),
            ("HR-17", "not claimed", "limits_errors", "legacy"),
            ("HR-17", "not claimed", "limits_errors", "bpf"),
            ("HR-16", "not claimed", "limits_errors", "legacy"),
            ("HR-16", "skipped", "limits_errors", "legacy"),
        ))
    ]  # fmt: skip
    groups = by_claim([*tests, outcome("", "not claimed", "answers_arp")])
    assert [(str(group), len(group.tests)) for group in groups] == [
        ("legacy: source_check = ipv4 (HR-45)", 1), ("legacy: limits_errors (HR-16, HR-17)", 2),
        ("bpf: limits_errors (HR-17)", 1), ("answers_arp", 1),
    ]  # fmt: skip
