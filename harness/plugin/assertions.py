# SPDX-License-Identifier: Apache-2.0
"""Assertions have names: which one failed is told by its name, and a control asks for it by that.

An assertion's name is its message, `assert lost == 0, "lost"`; a comparison of legs needs none, as
`assert seen.legs() == SAME_NODE` is called `legs`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType

LEGS = "legs"


@dataclass(frozen=True)
class Assertion:
    """An `assert` of a function.

    Attributes:
        function: The function.
        name: Its name; empty: it has none.
        first_line: Where it begins.
        last_line: Where it ends.
    """

    function: str
    name: str
    first_line: int
    last_line: int


def _name_of(statement: ast.Assert) -> str:
    if statement.msg is None:
        compared = statement.test.left if isinstance(statement.test, ast.Compare) else None
        call = compared.func if isinstance(compared, ast.Call) else None
        return LEGS if isinstance(call, ast.Attribute) and call.attr == "legs" else ""
    message = isinstance(statement.msg, ast.Constant) and statement.msg.value
    return message if isinstance(message, str) and "\n" not in message else ""


def _own(function: ast.FunctionDef) -> Iterator[ast.Assert]:
    """The assertions of a function, without those of functions inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Assert):
            yield node
        elif not isinstance(node, ast.FunctionDef):
            waiting.extend(ast.iter_child_nodes(node))


def assertions_of(source: str) -> list[Assertion]:
    """Every assertion of a module's functions, in the order of their lines."""
    found = [
        Assertion(function.name, _name_of(each), each.lineno, each.end_lineno or each.lineno)
        for function in ast.walk(ast.parse(source))
        if isinstance(function, ast.FunctionDef)
        for each in _own(function)
    ]
    return sorted(found, key=lambda assertion: assertion.first_line)


@lru_cache(maxsize=64)
def _in_file(path: str, _changed: float) -> list[Assertion]:
    return assertions_of(Path(path).read_text(encoding="utf-8"))


def failed(error: BaseException) -> Assertion | None:
    """The assertion that raised an error; None: no `assert` did, or its source is not there."""
    if not isinstance(error, AssertionError) or error.__traceback__ is None:
        return None
    last: TracebackType = error.__traceback__
    while last.tb_next is not None:
        last = last.tb_next
    path = last.tb_frame.f_code.co_filename
    try:
        found = _in_file(path, Path(path).stat().st_mtime)
    except (OSError, SyntaxError, ValueError):
        return None
    function, line = last.tb_frame.f_code.co_name, last.tb_lineno
    return next(
        (a for a in found if a.function == function and a.first_line <= line <= a.last_line), None
    )
