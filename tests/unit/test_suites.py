# SPDX-License-Identifier: Apache-2.0
"""How the suites below testbeds/ are written, which takes no root to see."""

import ast
from pathlib import Path

import pytest

import testbeds

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
