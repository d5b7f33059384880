# SPDX-License-Identifier: Apache-2.0
"""Text that others wrote, made safe to print: the one place that decides what is shown.

Records, file names, guests and mirrors may say anything: escape sequences that a terminal obeys,
marks that reverse the direction of what follows, line breaks that make the rest pose as a line of
ours.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

_REPLACED = "\N{REPLACEMENT CHARACTER}"
#: What str.splitlines takes for the end of a line, and the tab.
_BREAK = re.compile("\r\n|[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")
#: Controls, formats (bidi marks, zero width), lone surrogates, private and unassigned characters,
#: and whatever else ends a line.
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")

_NUMBERS = frozenset((int, float))


def one_line(text: str) -> str:
    """The text on one line: breaks and tabs become blanks, what a terminal may obey U+FFFD."""
    if text.isprintable():
        return text
    return "".join(map(_shown, _BREAK.sub(" ", text)))


def lines(text: str) -> list[str]:
    """The lines of a text that may have several, each as `one_line` returns it."""
    return [one_line(line) for line in text.split("\n")]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines, the columns below each other, two blanks between."""
    cells = [[one_line(text) for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def clean(value: Any) -> Any:
    """The same with every text of it on one line."""
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, Mapping):
        return {clean(key): clean(item) for key, item in value.items()}
    # A round's samples are numbers, by the million in a record: nothing to clean.
    if isinstance(value, list) and not _NUMBERS.issuperset(map(type, value)):
        return [clean(item) for item in value]
    return value


def _shown(character: str) -> str:
    return _REPLACED if unicodedata.category(character) in _HIDDEN else character
