# SPDX-License-Identifier: Apache-2.0
"""What was measured, as tables for the end of a run."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from statistics import median, mode

from rich.text import Text

from harness.bench import LIMIT, MEASURES, Comparison, Gain, Growth, Judgement, Run, Verdict
from harness.bench.growth import Fit
from harness.bench.summary import ALL
from harness.plugin.bench_grid import Grid, rendered

_STYLES = {Verdict.FASTER: "green", Verdict.SLOWER: "red", Verdict.NO_DIFFERENCE: ""}
_NOTHING = Text("·", style="dim")
_WIDEST = 160  # of a line of words


def summary(run: Run, width: int, markup: bool) -> list[str]:
    """A run's tables, what weakens them, and the arms' whole names, as lines."""
    lines: list[Text] = []
    for testbed in dict.fromkeys(found.testbed for found in run.comparisons):
        here = [found for found in run.comparisons if found.testbed == testbed]
        lines += _comparisons(testbed, sorted(here, key=_place), width)
    if gains := run.summary():
        lines += _gains(gains)
    axes: dict[tuple[str, str, int], list[Growth]] = {}
    for growth in run.growths:
        axes.setdefault((growth.testbed, growth.over, max(growth.counts)), []).append(growth)
    for curves in axes.values():
        lines += _curves(curves)
    lines += [Text(line) for line in (*_remarks(run), *_whole_names(run.comparisons))]
    return rendered(lines, markup)


def _place(found: Comparison) -> tuple[int, int]:
    """In the order of the measures' register, whatever order they were settled in."""
    return list(MEASURES).index(found.task.key), found.task.family


def _comparisons(testbed: str, comparisons: Sequence[Comparison], width: int) -> list[Text]:
    """A testbed's comparisons; where the terminal is too narrow, without the shares and noise."""
    for whole in (True, False):
        grid = _comparison_grid(testbed, comparisons, whole)
        if grid.width <= width:
            break
    return [Text(""), *grid.lines()]


def _comparison_grid(testbed: str, comparisons: Sequence[Comparison], whole: bool) -> Grid:
    """A block for each measure, a row for each family.

    Behind an arm's typical value: how near it comes to the limit.
    """
    labels = list(dict.fromkeys(label for found in comparisons for label in found.labels))
    labels.sort(key=lambda label: label == LIMIT)
    compared = [label for label in labels if any(label in c.judgements for c in comparisons)]
    against = {label: _usual_baseline(comparisons, label) for label in compared}
    head = [f"{testbed} "]
    for label in labels:
        head += [label, "of limit"] if whole and label != LIMIT else [label]
    for label in compared:
        head += [f"{label} / {against[label]} ", "verdict ", *(["noise"] if whole else [])]
    grid = Grid(head)
    for found in comparisons:
        cells: list[Text | str] = [f"  {found.task.family.name}"]
        for label in labels:
            cells += _value(found, label)[: 2 if whole and label != LIMIT else 1]
        for label in compared:
            cells += _verdict(found, label, against[label])[: 3 if whole else 2]
        grid.add(cells, above=f"{found.measure.name} {found.measure.describe()}")
    return grid


def _value(found: Comparison, label: str) -> list[Text]:
    """An arm's typical value, and its share of the limit."""
    if label not in found.arms or not found.arms[label].values:
        return [_NOTHING, Text("")]
    share = found.share(label)
    return [
        Text(found.measure.shown(found.arms[label].typical)),
        Text("" if share is None else f"{share:.0%}", style="dim"),
    ]


def _usual_baseline(comparisons: Sequence[Comparison], label: str) -> str:
    """The arm that most of a label's ratios are to; a measure that it lacks has another."""
    return mode(found.baseline for found in comparisons if label in found.judgements)


def _verdict(found: Comparison, label: str, against: str) -> list[Text]:
    """The ratio with its interval, and to which arm if not the usual; the verdict, the noise."""
    judgement = found.judgements.get(label)
    if judgement is None:
        return [_NOTHING, Text("partial" if found.partial else ""), Text("")]
    verdict = Text(str(judgement.verdict), style=_STYLES[judgement.verdict])
    if found.partial is not None:
        verdict = Text("partial", style="yellow")
    noise = f"±{judgement.noise:.1%}" if math.isfinite(judgement.noise) else ""
    to = "" if found.baseline == against else f" / {found.baseline}"
    return [Text(_interval(judgement) + to), verdict, Text(noise, style="dim")]


def _interval(judgement: Judgement) -> str:
    if not math.isfinite(judgement.high):
        return f"{judgement.ratio:.3f}"
    return f"{judgement.ratio:.3f} [{judgement.low:.3f}, {judgement.high:.3f}]"


def _gains(gains: Sequence[Gain]) -> list[Text]:
    grid = Grid(["geometric mean of all measures ", "testbed ", "times as fast ", "comparisons"])
    for gain in gains:
        bed = "all testbeds" if gain.testbed == ALL else gain.testbed
        interval = f"{gain.gain:.2f} [{gain.low:.2f}, {gain.high:.2f}]"
        grid.add([f"{gain.arm} against {gain.against}", bed, interval, str(gain.measures)])
    return [Text(""), *grid.lines()]


def _curves(growths: Sequence[Growth]) -> list[Text]:
    """The curves over one axis: a row for each arm, and how it grows."""
    over, points = growths[0].over, sorted({x for found in growths for x in found.counts})
    head = [
        f"{growths[0].testbed} ",
        f"{over}: ",
        *(f"{x:,}" for x in points),
        "growth ",
        "a piece ",
    ]
    grid = Grid(head)
    for found in growths:
        measure, fits = found.task.measure, found.fits()
        for index, (label, arm) in enumerate(found.points.items()):
            shown = [found.shown(median(arm[x])) if x in arm else "·" for x in points]
            family = f"  {found.task.family.name}" if index == 0 else ""
            cells = [family, label, *shown, *_growth(found, fits.get(label))]
            grid.add(cells, above=f"{found.title} {measure.describe()}")
    return [Text(""), *grid.lines()]


def _growth(found: Growth, fitted: Fit | None) -> tuple[str, str]:
    """How it grows, and by how much with each one more."""
    if fitted is None:
        return "partial" if found.partial else "too few builds", ""
    slope = f"{fitted.slope:+.2g} [{fitted.low:+.2g}, {fitted.high:+.2g}] {found.unit}"
    return "partial" if found.partial else fitted.model, slope


def _remarks(run: Run) -> list[str]:
    """What weakens the results, a line for each reason."""
    found: dict[str, list[str]] = {}
    for each in run.comparisons:
        name = f"{each.task.key} {each.testbed} {each.task.family.name}"
        if each.partial is not None:
            found.setdefault(f"partial: {each.partial}", []).append(name)
            continue
        for judgement in each.judgements.values():
            for warning in judgement.warnings:
                found.setdefault(f"warning: {warning}", []).append(name)
    for growth in run.growths:
        if growth.partial is not None:
            name = f"{growth.task.key} {growth.testbed} {growth.task.family.name}"
            found.setdefault(f"partial: {growth.partial}", []).append(f"{name} over {growth.over}")
    lines = [f"{reason}: {', '.join(dict.fromkeys(names))}" for reason, names in found.items()]
    return ["", *_folded(lines, 4)]


def _folded(lines: Sequence[str], indent: int) -> list[str]:
    return [
        line
        for text in lines
        for line in textwrap.wrap(
            text, _WIDEST, subsequent_indent=" " * indent, break_on_hyphens=False
        )
    ]


def _whole_names(comparisons: Sequence[Comparison]) -> list[str]:
    """Every arm's whole name on every node, once."""
    names: dict[tuple[str, str, str], None] = {}
    for found in comparisons:
        for label in found.labels:
            for node, text in found.arms[label].nodes.items():
                where = "" if label == LIMIT else f"{found.testbed} {node}"
                names[label, where, text] = None
    return _folded([f"{label:<14}{where:<17}{text}" for label, where, text in names], 31)
