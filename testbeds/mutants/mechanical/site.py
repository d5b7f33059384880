# SPDX-License-Identifier: Apache-2.0
"""A change of one place of a source by rule, and a name for it that outlives edits elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from harness.bpf.source import Patch

#: Kind, first character, old text, new text.
Found = tuple[str, int, str, str]


@dataclass(frozen=True)
class Site:
    """A change by rule.

    Attributes:
        file: Its file, as its finder names it.
        line: Its first line, from 1.
        kind: `operator`, `constant`, `condition`, `statement` or `row`.
        start: Where the text that is replaced begins, in characters.
        old: That text.
        new: What replaces it.
        key: Names it by its line's text instead of its number: it stays when lines move.
    """

    file: str
    line: int
    kind: str
    start: int
    old: str
    new: str
    key: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {_change(self.kind, self.old, self.new)}"

    def applied(self, text: str) -> str:
        """The source with the change made."""
        return text[: self.start] + self.new + text[self.start + len(self.old) :]

    def patch(self, text: str) -> Patch:
        """The same with as much of the source around it as makes it unique."""
        first, last = self.start, self.start + len(self.old)
        # `count` does not see occurrences that overlap, as of a line that stands twice.
        while text.find(text[first:last]) != first or text.find(text[first:last], first + 1) != -1:
            first, last = max(first - 8, 0), min(last + 8, len(text))
        old = text[first:last]
        new = text[first : self.start] + self.new + text[self.start + len(self.old) : last]
        return Patch(self.file, old, new)


def in_order(file: str, text: str, found: Iterable[Found]) -> list[Site]:
    """Sites of a file's text, in its order, each with its key.

    The key has the line's text, which of the lines with that text it is, if not the first, and
    which of the same changes within that line.
    """
    lines = [" ".join(line.split()) for line in text.split("\n")]
    seen: Counter[str] = Counter()
    sites = []
    for kind, start, old, new in sorted(found, key=lambda each: (each[1], each[0])):
        number = text.count("\n", 0, start)
        same = lines[: number + 1].count(lines[number])
        line = lines[number] + (f" [{same}]" if same > 1 else "")
        change = "statement: deleted" if kind == "statement" else _change(kind, old, new)
        key = f"{file}: {line} | {change}"
        seen[key] += 1
        key += f" [{seen[key]}]" if seen[key] > 1 else ""
        sites.append(Site(file, number + 1, kind, start, old, new, key))
    return sites


def _change(kind: str, old: str, new: str) -> str:
    before, after = (" ".join(text.split()) for text in (old, new))
    return f"{kind}: {before} -> {after if after not in ('', ';', 'pass') else 'deleted'}"
