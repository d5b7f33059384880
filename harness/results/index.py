# SPDX-License-Identifier: Apache-2.0
"""What is in a record, by name: comparisons, growth, assertions, exact figures."""

from __future__ import annotations

from typing import NamedTuple

from harness.results.assertion import Assertion
from harness.results.comparison import Comparison
from harness.results.growth import Fit, Growth
from harness.results.run import ExactFigure, Run


class MeasureKey(NamedTuple):
    """What makes two comparisons the same one.

    Attributes:
        measure: Key of the measure.
        testbed: The testbed's name.
        family: ipv4 or ipv6.
        baseline: Label of the arm that the others are compared with.
    """

    measure: str
    testbed: str
    family: str
    baseline: str

    def __str__(self) -> str:
        return f"{self.measure} {self.testbed} {self.family}"


class GrowthKey(NamedTuple):
    """What makes two arms' curves the same one.

    Attributes:
        measure: Key of the measure.
        described: How it was done.
        testbed: The testbed's name.
        family: ipv4 or ipv6.
        over: What is counted: pods or services.
        at: How many of them: more points make another fit.
        arm: Label of the arm.
    """

    measure: str
    described: str
    testbed: str
    family: str
    over: str
    at: tuple[int, ...]
    arm: str

    def __str__(self) -> str:
        points = ", ".join(f"{x:g}" for x in self.at)
        return (
            f"{self.measure} {self.testbed} {self.family} over {self.over} at {points}: {self.arm}"
        )


class ExactKey(NamedTuple):
    """What makes two exact figures the same one."""

    figure: str
    testbed: str
    family: str
    datapath: str

    def __str__(self) -> str:
        return " ".join(self)


class AssertionKey(NamedTuple):
    """What makes two assertions the same one, whatever their tests are called."""

    id: str
    testbed: str | None
    datapath: str | None
    family: str | None

    def __str__(self) -> str:
        return " ".join(filter(None, self))


def comparisons(run: Run) -> dict[MeasureKey, Comparison]:
    """By what they compare; of two of the same the first."""
    found: dict[MeasureKey, Comparison] = {}
    for entry in run.comparisons:
        key = MeasureKey(entry.measure, entry.testbed, entry.family, entry.baseline)
        found.setdefault(key, entry)
    return found


def curves(run: Run) -> dict[tuple[str, ...], Growth]:
    """By measure, testbed, family and what is counted."""
    return {(entry.measure, entry.testbed, entry.family, entry.over): entry for entry in run.growth}


def fits(run: Run) -> dict[GrowthKey, Fit]:
    """Every arm's fitted growth; nothing of a curve that did not come to its end."""
    return {
        GrowthKey(
            entry.measure, entry.described, entry.testbed, entry.family, entry.over,
            tuple(sorted(point.x for point in entry.points.get(arm, ()))), arm,
        ): fit
        for entry in run.growth
        if not entry.partial
        for arm, fit in entry.fits.items()
    }  # fmt: skip


def exact(run: Run) -> dict[ExactKey, ExactFigure]:
    """Every figure that was counted in instructions."""
    return {
        ExactKey(entry.figure, entry.testbed, entry.family, entry.datapath): entry
        for entry in run.exact
    }


def assertions(run: Run) -> dict[AssertionKey, list[Assertion]]:
    """The tests of every assertion."""
    found: dict[AssertionKey, list[Assertion]] = {}
    for entry in run.conformance:
        key = AssertionKey(entry.id, entry.testbed, entry.datapath, entry.family)
        found.setdefault(key, []).append(entry)
    return found
