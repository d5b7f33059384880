# SPDX-License-Identifier: Apache-2.0
"""What was measured, as tables for the end of a run."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from statistics import mode

from rich.text import Text

from harness.bench import MEASURES, Session
from harness.plugin.bench_grid import Grid, rendered
from harness.results import Comparison, Gain, Growth, units
from harness.results.comparison import ALL, FASTER, LIMIT, PARTIAL, SLOWER

_STYLES = {FASTER: "green", SLOWER: "red", PARTIAL: "yellow"}
_NOTHING = Text("·", style="dim")
_WIDEST = 160  # of a line of words


def summary(run: Session, width: int, markup: bool) -> list[str]:
    """A run's tables, what weakens them, and the arms' whole names, as lines."""
    lines: list[Text] = []
    for testbed in dict.fromkeys(found.testbed for found in run.comparisons):
        here = [found for found in run.comparisons if found.testbed == testbed]
        lines += _comparisons(testbed, sorted(here, key=_place), width)
    if gains := run.summary():
        lines += _gains(gains)
    axes: dict[tuple[str, str, int], list[Growth]] = {}
    for growth in run.growths:
        largest = max(growth.sizes, default=0)
        axes.setdefault((growth.testbed, growth.over, largest), []).append(growth)
    for curves in axes.values():
        lines += _curves(curves)
    lines += [Text(line) for line in (*_remarks(run), *_whole_names(run.comparisons))]
    return rendered(lines, markup)


def _place(found: Comparison) -> tuple[int, str]:
    """In the order of the measures' register, whatever order they were settled in."""
    return list(MEASURES).index(found.measure), found.family


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
    labels = list(dict.fromkeys(label for found in comparisons for label in found.shown_arms))
    labels.sort(key=lambda label: label == LIMIT)
    compared = [label for label in labels if any(c.verdict_of(label) for c in comparisons)]
    against = {label: _usual_baseline(comparisons, label) for label in compared}
    head = [f"{testbed} "]
    for label in labels:
        head += [label, "of limit"] if whole and label != LIMIT else [label]
    for label in compared:
        head += [f"{label} / {against[label]} ", "verdict ", *(["noise"] if whole else [])]
    grid = Grid(head)
    for found in comparisons:
        cells: list[Text | str] = [f"  {found.family}"]
        for label in labels:
            cells += _value(found, label)[: 2 if whole and label != LIMIT else 1]
        for label in compared:
            cells += _verdict(found, label, against[label])[: 3 if whole else 2]
        grid.add(cells, above=found.name)
    return grid


def _value(found: Comparison, label: str) -> list[Text]:
    """An arm's typical value, and its share of the limit."""
    if label not in found.arms or not found.arms[label].measured:
        return [_NOTHING, Text("")]
    share = found.share_of_limit(label)
    return [
        Text(units.shown(found.arms[label].typical, found.unit)),
        Text("" if share is None else units.share(share), style="dim"),
    ]


def _usual_baseline(comparisons: Sequence[Comparison], label: str) -> str:
    """The arm that most of a label's ratios are to; a measure that it lacks has another."""
    return mode(found.baseline for found in comparisons if found.verdict_of(label))


def _verdict(found: Comparison, label: str, against: str) -> list[Text]:
    """The ratio with its interval, and to which arm if not the usual; the verdict, the noise."""
    verdict = found.verdict_of(label)
    if verdict is None:
        return [_NOTHING, Text(PARTIAL if found.partial else ""), Text("")]
    word = found.conclusion(verdict)
    noise = "" if verdict.noise is None else units.noise(verdict.noise)
    to = "" if found.baseline == against else f" / {found.baseline}"
    ratio = units.estimate(verdict.ratio, verdict.low, verdict.high)
    return [Text(ratio + to), Text(word, style=_STYLES.get(word, "")), Text(noise, style="dim")]


def _gains(gains: Sequence[Gain]) -> list[Text]:
    grid = Grid(["geometric mean of all measures ", "testbed ", "times as fast ", "comparisons"])
    for gain in gains:
        bed = "all testbeds" if gain.testbed == ALL else gain.testbed
        how = units.estimate(gain.gain, gain.low, gain.high)
        grid.add([f"{gain.arm} against {gain.against}", bed, how, str(gain.measures)])
    return [Text(""), *grid.lines()]


def _curves(growths: Sequence[Growth]) -> list[Text]:
    """The curves over one axis: a row for each arm, and how it grows."""
    over, sizes = growths[0].over, sorted({x for found in growths for x in found.sizes})
    head = [
        f"{growths[0].testbed} ",
        f"{over}: ",
        *(units.grouped(x) for x in sizes),
        "growth ",
        f"each {growths[0].one} ",
    ]
    grid = Grid(head)
    for found in growths:
        for index, label in enumerate(found.points):
            at = [found.at(label, x) for x in sizes]
            shown = [units.shown(point.typical, found.unit) if point else "·" for point in at]
            family = f"  {found.family}" if index == 0 else ""
            grid.add([family, label, *shown, found.word(label), _slope(found, label)], found.name)
    return [Text(""), *grid.lines()]


def _slope(found: Growth, label: str) -> str:
    """By how much it grows with each one more."""
    fit = found.fits.get(label)
    return "" if fit is None else units.estimate(fit.slope, fit.low, fit.high, found.unit)


def _remarks(run: Session) -> list[str]:
    """What weakens the results, a line for each reason."""
    found: dict[str, list[str]] = {}
    for each in run.comparisons:
        name = f"{each.measure} {each.place}"
        for line in each.without:
            found.setdefault(line, []).append(name)
        if each.partial is not None:
            found.setdefault(f"partial: {each.partial}", []).append(name)
            continue
        for verdict in each.verdicts:
            for warning in verdict.warnings:
                found.setdefault(f"warning: {warning}", []).append(name)
    for growth in run.growths:
        name = f"{growth.measure} {growth.place} over {growth.over}"
        for line in growth.without:
            found.setdefault(line, []).append(name)
        if growth.partial is not None:
            found.setdefault(f"partial: {growth.partial}", []).append(name)
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
        for label, arm in found.shown_arms.items():
            for node, text in arm.nodes.items():
                where = "" if label == LIMIT else f"{found.testbed} {node}"
                names[label, where, text] = None
    return _folded([f"{label:<14}{where:<17}{text}" for label, where, text in names], 31)
