# SPDX-License-Identifier: Apache-2.0
"""Rows of cells under headings that span them, for a terminal."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.text import Text

_GAP = "  "


@dataclass
class Grid:
    """Cells in columns as wide as they need, and lines between the rows that span them all.

    Attributes:
        head: The columns' titles; one that ends in a space has its column aligned to the left.
        rows: A row's cells, or a line of its own.
    """

    head: Sequence[str]
    rows: list[list[Text] | str] = field(default_factory=list)

    def add(self, cells: Sequence[Text | str], above: str = "") -> None:
        """Add a row, below a line of its own where that differs from the one before."""
        if above and above != self._last_line():
            self.rows.append(above)
        self.rows.append([Text(cell) if isinstance(cell, str) else cell for cell in cells])

    def _last_line(self) -> str:
        return next((row for row in reversed(self.rows) if isinstance(row, str)), "")

    def _widths(self) -> list[int]:
        cells = [[len(title.rstrip()) for title in self.head]]
        cells += [[cell.cell_len for cell in row] for row in self.rows if not isinstance(row, str)]
        return [max(column) for column in zip(*cells, strict=True)]

    @property
    def width(self) -> int:
        """How wide it is."""
        return sum(self._widths()) + len(_GAP) * (len(self.head) - 1)

    def lines(self) -> list[Text]:
        """It, ready to be printed."""
        widths = self._widths()

        def line(cells: Sequence[Text]) -> Text:
            parts = []
            for cell, width, title in zip(cells, widths, self.head, strict=True):
                part = cell.copy()
                part.align("left" if title.endswith(" ") else "right", width)
                parts.append(part)
            return Text(_GAP).join(parts)

        head = line([Text(title.rstrip(), style="bold") for title in self.head])
        found = [head, Text("─" * self.width, style="dim")]
        return found + [Text(row) if isinstance(row, str) else line(row) for row in self.rows]


def rendered(lines: Iterable[Text], markup: bool) -> list[str]:
    """Lines as text, with colours if the terminal takes them; none is broken."""
    sink = io.StringIO()
    console = Console(file=sink, force_terminal=markup, no_color=not markup, highlight=False)
    for line in lines:
        line.rstrip()
        console.print(line, soft_wrap=True)
    return sink.getvalue().splitlines()
