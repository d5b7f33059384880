# SPDX-License-Identifier: Apache-2.0
"""Where Python can be changed by rule: operators, constants, conditions, statements, rows of legs.

Each change keeps the number of lines, so that a traceback's lines are those of the source.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from testbeds.mutants.mechanical.site import Found, Site, in_order

_COMPARED: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="), ast.GtE: (">=", ">"), ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"), ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"),
}  # fmt: skip
_CALCULATED: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "+"), ast.FloorDiv: ("//", "*"),
    ast.Div: ("/", "*"), ast.Mod: ("%", "*"), ast.BitAnd: ("&", "|"), ast.BitOr: ("|", "&"),
    ast.LShift: ("<<", ">>"), ast.RShift: (">>", "<<"), ast.BitXor: ("^", "&"),
}  # fmt: skip
#: A row of a table of legs: `pod1:eth0  > request  < reply`.
_ROW = re.compile(r"^[ \t]*[\w{}]+:[\w{}]+[ \t]+[<>].*$", re.M)
_DELETED = (ast.Return, ast.Raise, ast.Assert, ast.Delete, ast.AugAssign, ast.Continue, ast.Break)


def sites(file: str, text: str) -> list[Site]:
    """Every change by rule of a module, in its order."""
    return in_order(file, text, set(_Finder(text).found()))


class _Finder:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tree = ast.parse(text)
        # The tree counts bytes in a line, the text characters.
        self._lines = text.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def found(self) -> Iterator[Found]:
        for node in _judging(self._tree):
            if isinstance(node, ast.stmt) and _deletable(node):
                start, old = self._of(node)
                yield "statement", start, old, "pass" + "\n" * old.count("\n")
            elif isinstance(node, ast.Constant):
                yield from self._constant(node)
            else:
                yield from self._operators(node)
            for test in _conditions(node):
                yield from self._negated(test)

    def _operators(self, node: ast.AST) -> Iterator[Found]:
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for left, right, operator in zip(sides, sides[1:], node.ops, strict=False):
                yield from self._between(left, right, *_COMPARED[type(operator)])
        elif isinstance(node, ast.BoolOp):
            old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
            for left, right in zip(node.values, node.values[1:], strict=False):
                yield from self._between(left, right, old, new)
        elif isinstance(node, ast.BinOp) and type(node.op) in _CALCULATED:
            yield from self._between(node.left, node.right, *_CALCULATED[type(node.op)])

    def _at(self, line: int, column: int) -> int:
        before = self._lines[line - 1].encode()[:column].decode()
        return self._starts[line - 1] + len(before)

    def _of(self, node: ast.expr | ast.stmt) -> tuple[int, str]:
        start = self._at(node.lineno, node.col_offset)
        end = self._at(node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)
        return start, self._text[start:end]

    def _between(self, left: ast.expr, right: ast.expr, old: str, new: str) -> Iterator[Found]:
        start, text = self._of(left)
        first = start + len(text)
        gap = self._text[first : self._of(right)[0]]
        at = gap.find(old)
        if at >= 0 and "#" not in gap:
            yield "operator", first + at, old, new

    def _constant(self, node: ast.Constant) -> Iterator[Found]:
        start, old = self._of(node)
        if isinstance(node.value, bool):
            yield "constant", start, old, str(not node.value)
        elif isinstance(node.value, int) and not old.startswith("f"):
            yield "constant", start, old, str(node.value + 1)
        elif isinstance(node.value, str):
            for row in _ROW.finditer(old):
                yield "row", start + row.start(), row[0], " " * len(row[0])

    def _negated(self, test: ast.expr) -> Iterator[Found]:
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and not isinstance(
            test.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE
        ):  # fmt: skip
            return  # its operator swapped is the same
        start, old = self._of(test)
        yield "condition", start, old, f"(not ({old}))"


def _conditions(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        return [node.test]
    return node.ifs if isinstance(node, ast.comprehension) else []


def _deletable(node: ast.stmt) -> bool:
    """Whether a statement's absence shows in what it does, not in a name that nobody defined."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call)
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets)
    return isinstance(node, _DELETED)


def _judging(node: ast.AST) -> Iterator[ast.AST]:
    """What is executed: no annotation, no text for people, nothing for type checkers."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue  # a test's parameters are inputs: another size serves as well
        if name == "msg" and isinstance(node, ast.Assert):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.JoinedStr):
                continue
            if isinstance(child, ast.AST):
                yield from _judging(child)
