# SPDX-License-Identifier: Apache-2.0
"""What figures with an axis of values share: lines, markers, round ticks."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from harness.report.figures.palette import PAPER, Look, stand_in
from harness.report.figures.svg import ticks

HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 200, 46, 24, 14, 24  # px
_STEPS = (1, 2, 2.5, 5, 10)


def line(look: Look, width: float = 2) -> dict[str, Any]:
    """A curve's colour and dash."""
    dash = {"dashes": look.dash} if look.dash else {}
    return {"color": stand_in(look.variable), "linewidth": width, **dash}


def dots(look: Look) -> dict[str, Any]:
    """Markers that stand clear of the lines, by an edge in the page's colour."""
    return {"marker": look.marker, "color": stand_in(look.variable), "linestyle": "none",
            "markersize": 7.5, "markeredgecolor": stand_in(PAPER), "markeredgewidth": 1,
            "zorder": 4}  # fmt: skip


def log_marks(low: float, high: float, divisor: float) -> dict[float, str]:
    """Round values between two, for a logarithmic axis: about four of them."""
    low, high = low / divisor, high / divisor
    if high / low < 6:
        found = [float(x) for x in MaxNLocator(5, steps=_STEPS).tick_values(low, high)]
    else:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = (1, 2, 5) if high / low < 60 else (1, 3) if high / low < 2000 else (1,)
        found = [step * 10.0**decade for decade in decades for step in steps]
    return {x * divisor: _plain(x) for x in found if low <= x <= high}


def _plain(value: float) -> str:
    return f"{value:,.10g}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def value_axis(axes: Axes, lowest: float, highest: float) -> None:
    """Round ticks from `lowest` to a little above `highest`, and a line at each."""
    top = highest + (highest - lowest) * 0.14
    axes.set_ylim(lowest, top)
    found = MaxNLocator(5, steps=_STEPS).tick_values(lowest, top)
    ticks(axes.yaxis, {float(y): _plain(y) for y in found if lowest <= y <= top})
    axes.grid(axis="y")
