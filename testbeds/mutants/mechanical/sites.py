# SPDX-License-Identifier: Apache-2.0
"""Where C source can be changed by rule: operators, constants, conditions, statements.

The source is in kernel style, which has blanks around every binary operator: so no parser is
needed to tell a binary operator from a unary one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.bpf.source import Patch

_MASKED = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)
_DIRECTIVE = re.compile(r"^[ \t]*#[^\n]*(?:\\\n[^\n]*)*", re.M)
_DEFINED = re.compile(r"^#define[ \t]+\w+[ \t]+\(?(-?(?:0x[0-9a-fA-F]+|\d+))\b", re.M)
_SWAPPED = {
    "==": "!=", "!=": "==", "<=": "<", ">=": ">", "<": "<=", ">": ">=", "&&": "||", "||": "&&",
    "+": "-", "-": "+", "&": "|", "|": "&", "^": "&", "<<": ">>", ">>": "<<", "+=": "-=",
    "-=": "+=", "|=": "&=", "&=": "|=",
}  # fmt: skip
_OPERATOR = re.compile(
    r"(?<=[\w)\]] )(" + "|".join(map(re.escape, sorted(_SWAPPED, key=len, reverse=True)))
    + r")(?=[ \n])"
)  # fmt: skip
_CONSTANT = re.compile(r"(?<![\w.])(0x[0-9a-fA-F]+|\d+)(?![\w.])")
_CONDITION = re.compile(r"\bif \(")
_STATEMENT = re.compile(r"(?<=[;{}:)])\s*\n(\t+)([^\s{}#][^;{}]*;)|(?<=else)\s*\n(\t+)([^;{}]*;)")
_ELSE = re.compile(r"\s*else\b")
_DECLARATION = re.compile(
    r"(?:static |const |struct |union |enum |unsigned |u8|u16|u32|u64|s16|s32|s64|int|long|bool"
    r"|__u8|__u16|__u32|__u64|__be16|__be32|__sum16|__wsum|char|void|case |default|for|while"
    r"|switch|do|else)\b"
)


@dataclass(frozen=True)
class Site:
    """A change by rule.

    Attributes:
        file: A part of bpf/.
        line: Its first line, from 1.
        kind: `operator`, `constant`, `condition` or `statement`.
        start: Where the text that is replaced begins, in characters.
        old: That text.
        new: What replaces it.
    """

    file: str
    line: int
    kind: str
    start: int
    old: str
    new: str

    def __str__(self) -> str:
        old, new = (" ".join(text.split()) for text in (self.old, self.new))
        return f"{self.file}:{self.line}: {self.kind}: {old} -> {new or 'deleted'}"

    def patch(self, text: str) -> Patch:
        """The same with as much of the source around it as makes it unique."""
        first, last = self.start, self.start + len(self.old)
        # `count` does not see occurrences that overlap, as of a line that stands twice.
        while text.find(text[first:last]) != first or text.find(text[first:last], first + 1) != -1:
            first, last = max(first - 8, 0), min(last + 8, len(text))
        old = text[first:last]
        new = text[first : self.start] + self.new + text[self.start + len(self.old) : last]
        return Patch(self.file, old, new)


def masked(text: str) -> str:
    """The source with comments, texts and directives blanked, every character in its place."""
    for pattern in (_MASKED, _DIRECTIVE):
        text = pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    return text


def sites(file: str, text: str) -> list[Site]:
    """Every change by rule of a part, in the order of the source."""
    code = masked(text)
    comments = _MASKED.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    found = [
        *_operators(code),
        *_constants(code, _CONSTANT),
        *_constants(comments, _DEFINED),
        *_conditions(code),
        *((kind, start, old, ";") for kind, start, old in statements(code) if _deletable(old)),
    ]
    made = [
        Site(file, text.count("\n", 0, start) + 1, kind, start, text[start : start + len(old)], new)
        for kind, start, old, new in found
    ]
    return sorted(made, key=lambda site: (site.start, site.kind))


_Found = Iterator[tuple[str, int, str, str]]


def _operators(code: str) -> _Found:
    for match in _OPERATOR.finditer(code):
        yield "operator", match.start(1), match[1], _SWAPPED[match[1]]


def _constants(code: str, pattern: re.Pattern[str]) -> _Found:
    for match in pattern.finditer(code):
        value = int(match[1], 0)
        new = hex(value + 1) if match[1].startswith("0x") else str(value + 1)
        yield "constant", match.start(1), match[1], new


def _conditions(code: str) -> _Found:
    for match in _CONDITION.finditer(code):
        first = match.end() - 1
        last = _closing(code, first)
        old = code[first : last + 1]
        yield "condition", first, old, f"(!{old})"


def _closing(code: str, first: int) -> int:
    """Where the parenthesis that opens at `first` closes."""
    depth = 0
    for at in range(first, len(code)):
        depth += {"(": 1, ")": -1}.get(code[at], 0)
        if depth == 0:
            return at
    raise ValueError(f"a parenthesis does not close: {code[first : first + 40]!r}")


def statements(code: str) -> Iterator[tuple[str, int, str]]:
    """Simple statements of functions, from their first character to their semicolon."""
    at = 0
    while match := _STATEMENT.search(code, at):
        group = 2 if match[2] is not None else 4
        if not _ELSE.match(code, match.end()):  # else that branch would have no `if`
            yield "statement", match.start(group), match[group]
        at = match.end() - 1


def _deletable(statement: str) -> bool:
    return not _DECLARATION.match(statement)
