# SPDX-License-Identifier: Apache-2.0
"""What a kernel's tests came to, and which may be asked for."""

import json

import pytest

from harness.kernels import files, pytest_args, records
from harness.plumbing.errors import (
    UnknownNameError,
)
from tests.support import records as made_up
from tests.support.guests import document, leave_record, outcome

CUT_OFF = json.dumps(document())[:-100]


def test_a_guests_record_is_read(tmp_path):
    leave_record(tmp_path)
    found = records.read(tmp_path / "results")
    legs = "testbeds/one_node/test_legs.py::"
    assert [(getattr(test, "id", ""), test.test, test.outcome, test.reason)
            for test in found.tests] == [
        ("HR-07", f"{legs}test_hr07_ping[bpf-ipv4]", "passed", ""),
        ("HR-07", f"{legs}test_hr07_ping[bpf-ipv6]", "failed", "assert 1 == 2"),
        ("HR-16", "testbeds/one_node/test_gateway.py::test_hr16_arp", "skipped", "since 6.6"),
        ("", "testbeds/test_log.py::test_x", "error", "boom"),
    ]  # fmt: skip
    assert found.unread == ()


def test_several_records_of_one_guest_are_one_table(tmp_path):
    leave_record(tmp_path)
    other = document() | {"id": "run-20261122T174500Z-6.18.44-000002", "exact": made_up.exact()}
    (tmp_path / "results" / f"{other['id']}.json").write_text(json.dumps(other))
    found = records.read(tmp_path / "results")
    assert (len(found.tests), len(found.exact)) == (8, 6)


@pytest.mark.parametrize("text", [None, CUT_OFF, "{"])
def test_a_record_that_is_missing_or_cut_off_has_nothing_and_says_so(tmp_path, text):
    if text is not None:
        leave_record(tmp_path, text)
    found = records.read(tmp_path / "results")
    assert (found.tests, found.exact) == ((), ())
    assert ["is not whole JSON" in line for line in found.unread] == [True] * (text is not None)


def test_assertions_are_rows_and_kernels_are_columns():
    columns = {
        "5.10.262": [outcome("HR-07", "passed"), outcome("HR-07", "failed"), outcome("", "passed")],
        "6.12.117": [outcome("HR-07", "passed", reruns=2), outcome("HR-16", "not claimed")],
        "7.3.4": [],
    }
    assert records.matrix(columns, {"HR-07": "legs"}) == [
        "             5.10.262       6.12.117         7.3.4",
        "HR-07  legs  1 ok 1 FAILED  1 ok (2 reruns)  .",
        "HR-16        .              1 not claimed    .",
        "other tests  1 ok           .                .",
    ]


def test_what_needs_a_word_has_one():
    tests = [
        outcome("HR-07", "failed", "AssertionError", "a"), outcome("", "error", "boom", "b"),
        outcome("HR-16", "skipped", "since 6.6"), outcome("", "skipped", "since 6.6"),
        outcome("HR-17", "not claimed", "delivers=stack"), outcome("HR-18", "passed"),
        outcome("HR-19", "passed", test="c", reruns=1),
    ]  # fmt: skip
    assert list(records.remarks(tests)) == [
        "a: AssertionError", "b: boom", "2 skipped: since 6.6",
        "1 not claimed: delivers=stack (HR-17)",
        "c: passed in the end, run again 1 time",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "option",
    ["--pdb", "--pause", "--junitxml=x", "--results=/x", "--log-file=x", "--benchmark-json=x"],
)
def test_options_that_cannot_work_in_a_guest(tmp_path, option, monkeypatch):
    words = f"{option.partition('=')[0]} cannot work in a guest"
    with pytest.raises(UnknownNameError, match=words):
        pytest_args.check([option], tmp_path, tmp_path)
    monkeypatch.setenv("PYTEST_ADDOPTS", f"-k 'a b' {option}")  # a guest's pytest gets it too
    with pytest.raises(UnknownNameError, match=words):
        pytest_args.check([], tmp_path, tmp_path)
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k 'a b")
    with pytest.raises(UnknownNameError, match=r"PYTEST_ADDOPTS=.* has no end: No closing quot"):
        pytest_args.check([], tmp_path, tmp_path)


@pytest.fixture
def project(tmp_path):
    """A project with one test."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (root / "test_it.py").write_text("def test_it(): pass\n")
    # A guest's pytest makes a record.
    (root / "conftest.py").write_text('pytest_plugins = ["pytest_hostroute"]\n')
    return root


def test_pytest_is_asked_on_the_host_first(project, tmp_path):
    bytecode = tmp_path / "bytecode"
    pytest_args.check(["-k", "it"], project, bytecode)
    compiled = files.bytecode(project, bytecode)  # guests need not compile it
    (made,) = (path for path in compiled if path.name.startswith("test_it."))
    assert made.parent == project / "__pycache__"
    assert not made.exists()  # the checkout is as it was
    with pytest.raises(UnknownNameError, match=r"selects no test with -k none: look at -m and -k"):
        pytest_args.check(["-k", "none"], project, bytecode)
    with pytest.raises(UnknownNameError, match=r"refuses --nope: .*unrecognized arguments: --nope"):
        pytest_args.check(["--nope"], project, bytecode)
    (project / "test_it.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(UnknownNameError, match=r"refuses no arguments: ERROR|ModuleNotFoundError"):
        pytest_args.check([], project, bytecode)
