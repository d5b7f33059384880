# SPDX-License-Identifier: Apache-2.0
"""What a kernel's tests came to, and which may be asked for."""

import pytest

from harness.kernels import files, outcomes, pytest_args
from harness.kernels.outcomes import Outcome
from harness.plumbing.errors import (
    UnknownNameError,
)
from tests.support.junit import JUNIT, outcome


def test_a_junit_file_is_read(tmp_path):
    path = tmp_path / "junit.xml"
    path.write_text(JUNIT)
    legs = "testbeds/one_node/test_legs.py::"
    assert outcomes.read(path) == [
        Outcome(f"{legs}test_hr07_ping[bpf-ipv4]", "HR-07", "passed", ""),
        Outcome(f"{legs}test_hr07_ping[bpf-ipv6]", "HR-07", "failed", "assert 1 == 2"),
        Outcome(
            "testbeds/one_node/test_gateway.py::test_hr16_arp", "HR-16", "skipped", "since 6.6"
        ),
        Outcome("testbeds/test_log.py::test_x", "", "error", "boom"),
    ]


def test_a_control_is_no_test_of_the_assertion_that_must_fail_on_it(tmp_path):
    path = tmp_path / "junit.xml"
    path.write_text(JUNIT.replace("test_hr07_ping[bpf-ipv4]", "test_caught[x-test_hr07_ping-ipv4]"))
    assert [found.identity for found in outcomes.read(path)] == ["", "HR-07", "HR-16", ""]


@pytest.mark.parametrize("text", [None, "<testsuites><testcase name=", ""])
def test_a_junit_file_that_is_missing_or_cut_off_has_nothing(tmp_path, text):
    path = tmp_path / "junit.xml"
    if text is not None:
        path.write_text(text)
    assert outcomes.read(path) == []


def test_assertions_are_rows_and_kernels_are_columns():
    columns = {
        "5.10.262": [outcome("HR-07", "passed"), outcome("HR-07", "failed"), outcome("", "passed")],
        "6.12.117": [outcome("HR-07", "passed"), outcome("HR-16", "skipped")],
        "7.3.4": [],
    }
    assert outcomes.table(columns, {"HR-07": "legs"}) == [
        "             5.10.262       6.12.117   7.3.4",
        "HR-07  legs  1 ok 1 FAILED  1 ok       .",
        "HR-16        .              1 skipped  .",
        "other tests  1 ok           .          .",
    ]


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
    (root / "conftest.py").write_text(  # a guest's pytest makes a record
        "def pytest_addoption(parser): parser.addoption('--record', action='store_true')\n"
    )
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
