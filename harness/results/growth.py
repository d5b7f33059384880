# SPDX-License-Identifier: Apache-2.0
"""Growth: a measure against the number of pods on the node, or of services in legacy rules."""

from __future__ import annotations

from statistics import median
from typing import Literal

from msgspec import field

from harness.results.comparison import Built, inapplicable_lines
from harness.results.part import Better, Count, Family, Part, Partial, Text

CONSTANT: Literal["constant"] = "constant"
LINEAR: Literal["linear"] = "linear"
Over = Literal["pods", "services"]


class Point(Part, frozen=True, kw_only=True):
    """A size: so many pods or services, and the values there, one for each build."""

    x: Count
    values: list[float]

    @property
    def typical(self) -> float:
        """Their median."""
        return median(self.values)


class Fit(Part, frozen=True, kw_only=True):
    """How a value grows with what is counted.

    Attributes:
        model: `constant`: no growth worth the name was found; `linear`: it was.
        intercept: The value at 0; of a constant, the value. None, as below: not known.
        slope: Growth for each one more; also where the model is constant.
        low: Lower end of the slope's interval at 0.95.
        high: Upper end.
    """

    model: Literal["constant", "linear"]
    intercept: float | None
    slope: float | None
    low: float | None
    high: float | None

    def at(self, x: float) -> float | None:
        """The fitted value; a constant has one, whatever slope was found in the noise."""
        if self.intercept is None or self.model == CONSTANT:
            return self.intercept
        return self.intercept + (self.slope or 0.0) * x

    def rise(self, reach: float) -> float:
        """By what share the value changes at least over so many; an end not known: by nothing."""
        if self.low is None or self.high is None or not self.intercept:
            return 0.0
        if self.low <= 0 <= self.high:
            return 0.0
        return min(abs(self.low), abs(self.high)) * reach / abs(self.intercept)


class Growth(Part, frozen=True, kw_only=True):
    """A measure's curve for every arm.

    Attributes:
        measure: Key of the measure.
        title: What is drawn, for people: of a rate, the time of one.
        described: How it was done, for people.
        unit: Of every value.
        better: Whether lower or higher values are better.
        testbed: Its name.
        family: Of the traffic's addresses.
        over: What is counted.
        points: Label of the arm → its sizes.
        fits: Label of the arm → how it grows; without those of which too little is known.
        partial: Why it did not come to its end.
        arms: Label of the arm → what was asked for, and what was built at the first point.
        inapplicable: Label of an arm that the measure does not apply to → why, in words.
        given_up: Whether it is partial for want of time alone: nothing failed.
    """

    measure: Text
    title: str
    described: str
    unit: str
    better: Better
    testbed: Text
    family: Family
    over: Over
    points: dict[str, list[Point]]
    fits: dict[str, Fit]
    partial: Partial
    arms: dict[str, Built] = field(default_factory=dict)
    inapplicable: dict[str, Text] = field(default_factory=dict)
    given_up: bool = False

    @property
    def name(self) -> str:
        """The measure in words."""
        return f"{self.title} {self.described}".strip()

    @property
    def place(self) -> str:
        """Where it was measured, and over what."""
        return f"{self.testbed} {self.family}"

    @property
    def without(self) -> list[str]:
        """A line for each reason why the measure does not apply to some arms."""
        return inapplicable_lines(self.inapplicable)

    @property
    def one(self) -> str:
        """One of what is counted."""
        return self.over.removesuffix("s")

    @property
    def sizes(self) -> list[int]:
        """Every size at which an arm has values."""
        return sorted({p.x for points in self.points.values() for p in points if p.values})

    def at(self, label: str, x: int) -> Point | None:
        """An arm's values at a size."""
        return next((p for p in self.points[label] if p.x == x and p.values), None)

    def word(self, label: str) -> str:
        """How an arm grows, in a word or three; nothing is said of a curve that broke off."""
        if self.partial is not None:
            return "partial"
        fit = self.fits.get(label)
        return fit.model if fit is not None else "too few builds"
