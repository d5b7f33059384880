# SPDX-License-Identifier: Apache-2.0
"""The names of assertions: which there are, and which one failed."""

import contextlib
import importlib.util
import xml.etree.ElementTree as ET

import pytest

from harness.plugin.assertions import Assertion, assertions_of, failed
from tests.support.run_cli import end, pytest_of, start

MODULE = """\
import contextlib


class Table:
    def legs(self):
        return "seen"


def helper(value):
    assert value == 1, "in the helper"


@contextlib.contextmanager
def around():
    try:
        yield
    finally:
        pass


def test_some(value, seen=Table()):
    with around(), around():
        assert value != 1, "first"
    assert (
        value
        != 2
    ), "second"
    if value == 3:
        assert seen.legs() == "expected"
    if value == 4:
        helper(value)
    if value == 5:
        raise AssertionError("first")
    if value == 6:
        assert value == 7
    if value == 8:
        assert value == 7, f"{value}"
    if value == 9:
        assert value == 7, "more than\\none line"
    inner = lambda: 1 / 0
    inner()
"""


@pytest.fixture
def module(tmp_path):
    path = tmp_path / "some_module.py"
    path.write_text(MODULE)
    spec = importlib.util.spec_from_file_location("some_module", path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def names(source):
    return [(assertion.function, assertion.name) for assertion in assertions_of(source)]


def test_names_are_messages_and_legs_are_called_so():
    assert names(MODULE) == [
        ("helper", "in the helper"),
        ("test_some", "first"),
        ("test_some", "second"),
        ("test_some", "legs"),
        ("test_some", ""),
        ("test_some", ""),
        ("test_some", ""),
    ]


def test_legs_may_have_a_name_of_their_own():
    source = "def f():\n    assert a.legs() == b\n    assert a.legs() == b, 'reply legs'\n"
    assert names(source) == [("f", "legs"), ("f", "reply legs")]


def test_functions_inside_functions_have_their_own():
    source = "def f():\n    def g():\n        assert 1, 'inner'\n    assert 2, 'outer'\n"
    assert names(source) == [("g", "inner"), ("f", "outer")]


def fails(function, value):
    with contextlib.suppress(ZeroDivisionError):
        try:
            function(value)
        except AssertionError as error:
            return failed(error)
    return None


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (1, ("test_some", "first")),
        (2, ("test_some", "second")),
        (3, ("test_some", "legs")),
        (4, ("helper", "in the helper")),
        (6, ("test_some", "")),
        (8, ("test_some", "")),
    ],
)
def test_the_assertion_that_failed_is_found(module, value, found):
    assertion = fails(module.test_some, value)
    assert (assertion.function, assertion.name) == found


@pytest.mark.parametrize("value", [5, 10])
def test_what_no_assert_raised_is_no_assertion(module, value):
    """Not even what bears an assertion's name."""
    assert fails(module.test_some, value) is None


def test_other_errors_and_lost_sources_are_no_assertion(module, tmp_path):
    assert failed(ZeroDivisionError()) is None
    assert failed(AssertionError("first")) is None
    (tmp_path / "some_module.py").write_text("def broken(:\n")
    assert fails(module.test_some, 1) is None
    (tmp_path / "some_module.py").unlink()
    assert fails(module.test_some, 1) is None


def test_a_line_belongs_to_one_assertion():
    (first, second) = assertions_of(
        "def f():\n    assert (1 and\n        2), 'a'\n    assert 3, 'b'\n"
    )
    assert first == Assertion("f", "a", 2, 3)
    assert (second.first_line, second.last_line) == (4, 4)


REPORTED = """
def test_hr13_ttl(hr_observed): assert [64] == [63], "TTL at pod2"
def test_hr14_macs(hr_observed): assert 1 == 1, "MACs"
"""


def test_a_report_names_the_assertion_that_failed(tmp_path):
    """For people and for programs, with pytest's own explanation behind it."""
    (tmp_path / "test_child.py").write_text(REPORTED)
    xml = tmp_path / "junit.xml"
    arguments = pytest_of(
        "-q", "-p", "pytest_hostroute", f"--junit-xml={xml}", str(tmp_path), rootdir=tmp_path
    )
    run = end(start(arguments))
    lines = [line.split() for line in run.text.splitlines()]
    assert ["E", "AssertionError:", "TTL", "at", "pod2"] in lines
    assert ["E", "assert", "[64]", "==", "[63]"] in lines
    properties = {
        case.get("name"): {each.get("name"): each.get("value") for each in case.iter("property")}
        for case in ET.parse(xml).getroot().iter("testcase")
    }
    assert properties["test_hr13_ttl"]["assertion"] == "TTL at pod2"
    assert "assertion" not in properties["test_hr14_macs"]


AGAIN = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    for last in (False, True):
        item._initrequest()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    return True
"""
FLAKY = """
runs = []

def test_hr13_ttl(hr_observed):
    runs.append(1)
    assert len(runs) == 2, "TTL at pod2"
"""


def test_a_test_that_passes_when_run_again_has_no_failed_assertion(tmp_path):
    (tmp_path / "test_child.py").write_text(FLAKY)
    (tmp_path / "conftest.py").write_text(AGAIN)
    xml = tmp_path / "junit.xml"
    arguments = pytest_of(
        "-q", "-p", "pytest_hostroute", f"--junit-xml={xml}", str(tmp_path), rootdir=tmp_path
    )
    run = end(start(arguments))
    assert run.code == 0, run.text
    names = [each.get("name") for each in ET.parse(xml).getroot().iter("property")]
    assert "hr" in names
    assert "assertion" not in names
