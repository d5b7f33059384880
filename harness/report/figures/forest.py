# SPDX-License-Identifier: Apache-2.0
"""Forest plot: each ratio to the baseline with its interval, over the noise floor."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup
from matplotlib.axes import Axes

from harness.report.figures.palette import INK, PAPER, SHADE, Look, stand_in
from harness.report.figures.svg import WIDTH, drawing, finish, place, say, ticks
from harness.results import units

_LEFT, _RIGHT, _TOP, _BOTTOM, _ROW = 116, 42, 24, 24, 19  # px
_BODY = WIDTH - _LEFT - _RIGHT
_WIDEST = 8.0  # what lies further from 1 becomes an arrow at the edge
_NARROWEST = 1.12
_TICKS = (0.125, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.25, 1.5, 2, 4, 8)
_TICK_GAP = 34  # px
_LETTERS, _LABEL_LETTERS = 44, 17  # that fit the width, and the room left of the plot


@dataclass(frozen=True)
class Row:
    """A line of the plot: `group` is the measure, `label` the family and the arm."""

    group: str
    label: str
    look: Look
    ratio: float
    low: float
    high: float
    noise: float | None
    differs: bool


def forest(name: str, rows: Sequence[Row], better: str, title: str, against: str) -> Markup:
    """Draw it.

    Args:
        name: Of the figure, unique on the page.
        rows: Those of one group stand together.
        better: Which ratios are good, `lower` or `higher`.
        title: Its accessible name.
        against: The baseline's name.
    """
    groups = [
        (textwrap.wrap(group, _LETTERS), list(found))
        for group, found in groupby(rows, key=lambda row: row.group)
    ]
    body = (len(rows) + sum(len(lines) for lines, _ in groups)) * _ROW + 4
    with drawing(_TOP + body + _BOTTOM) as figure:
        axes = place(figure, _LEFT, _TOP, _RIGHT, _BOTTOM)
        span = _span(rows)
        axes.set(xscale="log", xlim=(1 / span, span), ylim=(body, 0), yticks=[])
        ticks(axes.xaxis, _ticks(span))
        axes.grid(axis="x")
        y = 0
        for lines, found in groups:
            for line in lines:
                y += _ROW
                say(figure, 0, _TOP + y - 4, line, bold=True)
            # Beside the rows only: a measure's name stands across the whole width.
            one = (y, y + len(found) * _ROW)
            axes.plot((1, 1), one, color=stand_in(INK), linewidth=1, zorder=1)
            for row in found:
                y += _ROW
                _draw(axes, row, y - _ROW / 2, span)
                say(figure, 8, _TOP + y - 5, _cut(row.label), faint=True)
                say(figure, WIDTH, _TOP + y - 5, units.ratio(row.ratio), side="right")
        words = ("← faster", "slower →") if better == "lower" else ("← slower", "faster →")
        middle = _LEFT + _BODY / 2
        say(figure, middle - 7, _TOP - 7, words[0], faint=True, side="right")
        say(figure, middle + 7, _TOP - 7, words[1], faint=True)
        return finish(figure, name, title, _described(rows, against))


def _cut(label: str) -> str:
    return label if len(label) <= _LABEL_LETTERS else f"{label[: _LABEL_LETTERS - 1]}…"


def _span(rows: Sequence[Row]) -> float:
    """How far from 1 the axis goes, both ways alike: gain and loss are seen at one scale."""
    ends = [end for row in rows for end in (row.ratio, row.low, row.high)]
    return min(max([_NARROWEST, *(max(end, 1 / end) * 1.06 for end in ends)]), _WIDEST)


def _ticks(span: float) -> dict[float, str]:
    """1, and outward from it what has room."""

    def away(value: float) -> float:
        return math.log(value) / math.log(span) * _BODY / 2

    kept = [1.0]
    for value in sorted(_TICKS, key=lambda value: abs(math.log(value)), reverse=True):
        if 1 / span <= value <= span:
            gap = min(abs(away(value) - away(other)) for other in kept)
            kept += [value] if gap >= _TICK_GAP else []
    return {value: f"{value:g}" for value in sorted(kept)}


def _draw(axes: Axes, row: Row, y: float, span: float) -> None:
    colour = stand_in(row.look.variable)
    if row.noise:
        band = (1 / (1 + row.noise), 1 + row.noise)
        axes.fill_betweenx((y - _ROW / 2, y + _ROW / 2), *band, color=stand_in(SHADE), linewidth=0)
    axes.plot((row.low, row.high), (y, y), color=colour, linewidth=2, solid_capstyle="butt")
    for end in (row.low, row.high):
        axes.plot((end, end), (y - 4, y + 4), color=colour, linewidth=1.5)
    inside = 1 / span <= row.ratio <= span
    marker = row.look.marker if inside else ("<" if row.ratio < 1 else ">")
    axes.plot(
        min(max(row.ratio, 1 / span), span), y, marker, color=colour, markersize=6.5,
        markerfacecolor=colour if row.differs else stand_in(PAPER), clip_on=False, zorder=3,
    )  # fmt: skip


def _described(rows: Sequence[Row], against: str) -> str:
    said = [
        f"{row.group}, {row.label}: {units.estimate(row.ratio, row.low, row.high)}" for row in rows
    ]
    return f"Ratio to {against}, with its interval. " + "; ".join(said) + "."
