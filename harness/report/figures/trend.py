# SPDX-License-Identifier: Apache-2.0
"""Trend: a figure from kernel to kernel, an interval at each, and where it got worse."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.axes import Axes

from harness.report.figures.lines import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, dots, line, value_axis
from harness.report.figures.palette import INK, Look, looks, stand_in
from harness.report.figures.svg import drawing, finish, place, say, ticks
from harness.report.trends import WORSE, Trend
from harness.results import units

_MOST_LETTERS = 40  # of all kernels' names side by side
_TILT, _TILTED = 35, 26  # degrees, px


def trend(name: str, entry: Trend, kernels: Sequence[str]) -> Markup:
    """Draw it.

    Args:
        name: Of the figure, unique on the page.
        entry: What to draw.
        kernels: Short names in the trend's order; each has the same distance from the next.
    """
    seen = looks(entry.bands)
    every = [
        end for bands in entry.bands.values() for band in bands if band
        for end in (band.low, band.high)
    ]  # fmt: skip
    divisor, unit = units.scaled(entry.unit, max(every))
    more = _TILTED if sum(len(kernel) + 2 for kernel in kernels) > _MOST_LETTERS else 0
    with drawing(HEIGHT + more) as figure:
        axes = place(figure, LEFT + 8, TOP, RIGHT + 8, BOTTOM + more)
        axes.set_xlim(-0.3, len(kernels) - 0.7)
        ticks(axes.xaxis, {float(i): kernel for i, kernel in enumerate(kernels)})
        if more:
            axes.tick_params(axis="x", labelrotation=_TILT)
        for label in entry.bands:
            _arm(axes, entry, label, seen[label], divisor)
        least, most = min(every) / divisor, max(every) / divisor
        value_axis(axes, least - 0.15 * ((most - least) or least), most)
        say(figure, 0, 12, unit, faint=True)
        return finish(figure, name, entry.name, _said(entry, kernels))


def _arm(axes: Axes, entry: Trend, label: str, look: Look, divisor: float) -> None:
    here = [(i, band) for i, band in enumerate(entry.bands[label]) if band]
    for i, band in here:
        ends = (band.low / divisor, band.high / divisor)
        axes.plot((i, i), ends, color=stand_in(look.variable), linewidth=1.5)
        step = entry.step(label, i)
        if step and step.mark == WORSE:
            at = (i, band.typical / divisor)
            axes.plot(*at, "o", color="none", markeredgecolor=stand_in(INK), markersize=14)
            axes.annotate(units.change(step.ratio), at, (0, 11), textcoords="offset points",
                          ha="center")  # fmt: skip
    x, y = [i for i, _ in here], [band.typical / divisor for _, band in here]
    axes.plot(x, y, **line(look))
    axes.plot(x, y, **dots(look))


def _said(entry: Trend, kernels: Sequence[str]) -> str:
    said = [
        f"{label}: "
        + ", ".join(
            f"{units.shown(band.typical, entry.unit)} on {kernel}"
            for kernel, band in zip(kernels, bands, strict=True)
            if band
        )
        for label, bands in entry.bands.items()
    ]
    return "From kernel to kernel. " + "; ".join(said) + "."
