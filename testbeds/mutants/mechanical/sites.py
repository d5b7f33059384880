# SPDX-License-Identifier: Apache-2.0
"""Where C source can be changed by rule: operators, constants, conditions, statements.

The source is in kernel style, which has blanks around every binary operator: so no parser is
needed to tell a binary operator from a unary one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from testbeds.mutants.mechanical.site import Found, Site, in_order

_MASKED = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)
_DIRECTIVE = re.compile(r"^[ \t]*#[^\n]*(?:\\\n[^\n]*)*", re.M)
_LINE = re.compile(r'^# (\d+) "', re.M)
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
_EQUALITY = re.compile(r"\([^&|()]* [!=]= [^&|()]*\)")
#: A function without it has no value: no change that a compiler lets pass.
_LAST_RETURN = re.compile(r"\s*return\b[^;]*;\n\}")
_STATEMENT = re.compile(r"(?<=[;{}:)])\s*\n(\t+)([^\s{}#][^;{}]*;)|(?<=else)\s*\n(\t+)([^;{}]*;)")
_ELSE = re.compile(r"\s*else\b")
_DECLARATION = re.compile(
    r"(?:static |const |struct |union |enum |unsigned |u8|u16|u32|u64|s16|s32|s64|int|long|bool"
    r"|__u8|__u16|__u32|__u64|__be16|__be32|__sum16|__wsum|char|void|case |default|for|while"
    r"|switch|do|else)\b"
)


def masked(text: str) -> str:
    """The source with comments, texts and directives blanked, every character in its place."""
    for pattern in (_MASKED, _DIRECTIVE):
        text = pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    return text


def conditional(text: str, start: int) -> bool:
    """Whether a place stands between `#if` and `#endif`: variants may differ there."""
    before = text[:start]
    opened = len(re.findall(r"^#[ \t]*if", before, re.M))
    return opened > len(re.findall(r"^#[ \t]*endif", before, re.M)) + before.count("_H\n#define")


def sites(file: str, text: str) -> list[Site]:
    """Every change by rule of a part, in the order of the source."""
    code = masked(text)
    comments = _MASKED.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    found = [
        *_operators(code),
        *_constants(code, _CONSTANT),
        *_constants(comments, _DEFINED),
        *_negations(code),
        *_deletions(code),
    ]
    whole = ((kind, at, text[at : at + len(old)], new) for kind, at, old, new in found)
    return [replace(site, line=_line_of(text, site.start)) for site in in_order(file, text, whole)]


def _line_of(text: str, at: int) -> int:
    """The line of the file, which says in directives what it has been built twice from."""
    before = list(_LINE.finditer(text, 0, at))
    if not before:
        return text.count("\n", 0, at) + 1
    return int(before[-1][1]) + text.count("\n", before[-1].end(), at) - 1


def _operators(code: str) -> Iterator[Found]:
    for match in _OPERATOR.finditer(code):
        yield "operator", match.start(1), match[1], _SWAPPED[match[1]]


def _constants(code: str, pattern: re.Pattern[str]) -> Iterator[Found]:
    for match in pattern.finditer(code):
        value = int(match[1], 0)
        new = hex(value + 1) if match[1].startswith("0x") else str(value + 1)
        yield "constant", match.start(1), match[1], new


def conditions(code: str) -> Iterator[tuple[int, str]]:
    """Conditions of `if`, from their first character, with their parentheses."""
    for match in _CONDITION.finditer(code):
        first = match.end() - 1
        yield first, code[first : _closing(code, first) + 1]


def _negations(code: str) -> Iterator[Found]:
    for first, old in conditions(code):
        if not _EQUALITY.fullmatch(old):  # its operator swapped is the same
            yield "condition", first, old, f"(!{old})"


def _closing(code: str, first: int) -> int:
    """Where the parenthesis that opens at `first` closes."""
    depth = 0
    for at in range(first, len(code)):
        depth += {"(": 1, ")": -1}.get(code[at], 0)
        if depth == 0:
            return at
    raise ValueError(f"a parenthesis does not close: {code[first : first + 40]!r}")


def statements(code: str) -> Iterator[tuple[int, str]]:
    """Simple statements of functions, from their first character to their semicolon."""
    at = 0
    while match := _STATEMENT.search(code, at):
        group = 2 if match[2] is not None else 4
        after_if = _ELSE.match(code, match.end())  # without it `else` would have no `if`
        if not after_if and not _DECLARATION.match(match[group]):
            yield match.start(group), match[group]
        at = match.end() - 1


def _deletions(code: str) -> Iterator[Found]:
    for start, old in statements(code):
        if not _LAST_RETURN.match(code, start):
            yield "statement", start, old, ";"
