# SPDX-License-Identifier: Apache-2.0
"""How the suites below testbeds/ are written, which takes no root to see."""

import ast
from pathlib import Path

import pytest

import testbeds
from harness.plugin.assertions import assertions_of
from testbeds.mutants.assertions import suites
from tests.support.renamed import renamed

SUITES = sorted(Path(testbeds.__file__).parent.glob("**/test_*.py"))
TYPED = {"one_node": "Testbed", "two_node": "Testbed", "build_testbed": "BuildTestbed"}


@pytest.mark.parametrize("path", SUITES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_testbed_has_its_type_so_that_mypy_sees_what_is_done_with_it(path):
    untyped = [
        f"{function.name}: {argument.arg}"
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef)
        for argument in function.args.args
        if argument.arg in TYPED
        and not (
            isinstance(argument.annotation, ast.Name)
            and argument.annotation.id == TYPED[argument.arg]
        )
    ]
    assert untyped == []


def test_every_assertion_has_a_name():
    """`assert lost == 0, "lost"`: a constant, for a control to ask for; legs have theirs."""
    assert [test for test, names in suites().items() if "" in names] == []


def test_an_assertions_name_is_its_own_within_the_test():
    twice = {
        test: [name for name in set(names) if names.count(name) > 1]
        for test, names in suites().items()
    }
    assert {test: names for test, names in twice.items() if names} == {}


def test_assertions_stand_in_tests():
    """In a function that a test calls they would be another's, and whose they were not be known."""
    assert [test for test in suites() if not test.split("::")[1].startswith("test_")] == []


@pytest.mark.parametrize("path", SUITES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_renamed_local_renames_no_assertion(path):
    source = path.read_text(encoding="utf-8")
    other = renamed(source)
    assert [(a.function, a.name) for a in assertions_of(other)] == [
        (a.function, a.name) for a in assertions_of(source)
    ]
