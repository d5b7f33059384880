# SPDX-License-Identifier: Apache-2.0
"""Growth: a measure against the number of pods or services, with its fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from harness.report.figures.lines import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, dots, line, value_axis
from harness.report.figures.palette import Look, looks, stand_in
from harness.report.figures.svg import drawing, finish, place, say, ticks
from harness.results import units
from harness.results.growth import Growth, Point


def growth(name: str, curve: Growth, title: str) -> Markup:
    """Every arm's medians with their range, and the fitted line; sizes on a logarithmic axis."""
    seen = looks(curve.points)
    sizes = curve.sizes
    arms = {label: _measured(curve, label) for label in curve.points}
    highest = max(max(point.values) for points in arms.values() for point in points)
    divisor, unit = units.scaled(curve.unit, highest)
    with drawing(HEIGHT) as figure:
        axes = place(figure, LEFT, TOP, RIGHT, BOTTOM)
        least = min((size for size in sizes if size > 0), default=1)
        axes.set_xscale("symlog", linthresh=least, linscale=0.6)
        ticks(
            axes.xaxis,
            {size: units.grouped(size) for size in sizes},
        )
        for label, points in arms.items():
            _points(axes, points, seen[label], divisor)
            fit = curve.fits.get(label)
            if fit is not None and fit.intercept is not None and sizes:
                along = np.unique(np.concatenate((np.geomspace(least, sizes[-1], 60), sizes)))
                height = [(fit.at(x) or 0.0) / divisor for x in along.tolist()]
                axes.plot(along, height, **line(seen[label], 1.5))
        axes.set_xlim(sizes[0] * 0.8 if sizes[0] else -0.12 * least, sizes[-1] * 1.25)
        value_axis(axes, 0, highest / divisor)
        say(figure, 0, 12, f"{unit}, by number of {curve.over}", faint=True)
        return finish(figure, name, title, _growth_said(curve))


def _measured(curve: Growth, label: str) -> list[Point]:
    """An arm's sizes that have values, the smallest first."""
    return [point for size in curve.sizes if (point := curve.at(label, size))]


def _points(axes: Axes, points: Sequence[Point], look: Look, divisor: float) -> None:
    for point in points:
        ends = (min(point.values) / divisor, max(point.values) / divisor)
        axes.plot((point.x, point.x), ends, color=stand_in(look.variable), linewidth=1.5)
    axes.plot([p.x for p in points], [p.typical / divisor for p in points], **dots(look))


def _growth_said(curve: Growth) -> str:
    said = [
        f"{label}: " + ", ".join(f"{units.shown(p.typical, curve.unit)} at {p.x:g}" for p in points)
        for label in curve.points
        for points in [_measured(curve, label)]
    ]
    return f"Median against the number of {curve.over}. " + "; ".join(said) + "."
