# SPDX-License-Identifier: Apache-2.0
"""Distribution: which share of an arm's samples lies below each value."""

from __future__ import annotations

import math
from collections.abc import Mapping

from markupsafe import Markup

from harness.report.figures.lines import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, dots, line, log_marks
from harness.report.figures.palette import looks
from harness.report.figures.svg import WIDTH, drawing, finish, place, say, ticks
from harness.report.model import Distribution
from harness.results import units
from harness.results.comparison import Arm, Comparison

_RIGHT = RIGHT + 20
_LETTER = 6.5  # px, of the axes' size of text
_SHARES = {0.01: "1 %", 0.1: "10 %", 0.5: "50 %", 0.9: "90 %", 0.99: "99 %", 0.999: "99.9 %"}


def distribution(
    name: str, comparison: Comparison, samples: Mapping[str, Distribution], title: str
) -> Markup:
    """ECDF of every arm's samples: values on a logarithmic axis, shares by their odds.

    The odds give the tail as much room as the body: 99 to 99.9 % is as wide as 90 to 99 %.
    """
    seen = looks(comparison.shown_arms)
    low = min(found.quantiles[0][1] for found in samples.values())
    high = max(found.quantiles[-1][1] for found in samples.values())
    divisor, unit = units.scaled(comparison.unit, math.sqrt(low * high))
    low, high = low / 1.03, high * 1.03
    with drawing(HEIGHT) as figure:
        axes = place(figure, LEFT, TOP, _RIGHT, BOTTOM)
        axes.set(xscale="log", xlim=(low, high))
        axes.set_yscale("logit")
        axes.set_ylim(0.002, 0.9996)
        ticks(axes.yaxis, _SHARES)
        ticks(axes.xaxis, _clear_of(unit, log_marks(low, high, divisor), low, high))
        axes.grid()
        for label, found in samples.items():
            shares, values = zip(*found.quantiles, strict=True)
            axes.plot(values, shares, **line(seen[label]), drawstyle="steps-post")
            at = [value for share in (0.5, 0.99) if (value := _value_at(found, share))]
            axes.plot(at, (0.5, 0.99)[: len(at)], **dots(seen[label]))
        say(figure, 0, 12, "share of samples", faint=True)
        say(figure, WIDTH, HEIGHT - 9, unit, faint=True, side="right")
        arms = {label: comparison.arms[label] for label in samples}
        return finish(figure, name, title, _percentiles_said(arms, comparison.unit))


def _clear_of(unit: str, marks: dict[float, str], low: float, high: float) -> dict[float, str]:
    """The marks whose words do not run into the unit, which ends the axis."""
    width = WIDTH - LEFT - _RIGHT
    begins = width + _RIGHT - _LETTER * len(unit)
    return {
        value: words
        for value, words in marks.items()
        if width * math.log(value / low) / math.log(high / low) + _LETTER / 2 * len(words) < begins
    }


def _value_at(found: Distribution, share: float) -> float | None:
    return next((value for reached, value in found.quantiles if reached >= share), None)


def _percentiles_said(arms: Mapping[str, Arm], unit: str) -> str:
    said = [
        f"{label}: "
        + ", ".join(f"{key} {units.shown(value, unit)}" for key, value in arm.percentiles.items())
        for label, arm in arms.items()
    ]
    return "Share of the samples up to each value, by arm. " + "; ".join(said) + "."
