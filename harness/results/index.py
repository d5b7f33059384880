# SPDX-License-Identifier: Apache-2.0
"""What is in a record, by name: comparisons, growth, assertions, exact figures."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from harness.results.schema import Document


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


class GrowthKey(NamedTuple):
    """What makes two curves the same one.

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
    at: tuple[float, ...]
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


class AssertionKey(NamedTuple):
    """What makes two assertions the same one, whatever their tests are called."""

    id: str
    testbed: str | None
    datapath: str | None
    family: str | None

    def __str__(self) -> str:
        return " ".join(filter(None, self))


def comparisons(record: Document) -> dict[MeasureKey, Document]:
    """By what they compare; of two of the same the first."""
    found: dict[MeasureKey, Document] = {}
    for entry in record["comparisons"]:
        key = MeasureKey(entry["measure"], entry["testbed"], entry["family"], entry["baseline"])
        found.setdefault(key, entry)
    return found


def curves(record: Document) -> dict[tuple[str, ...], Document]:
    """By measure, testbed, family and what is counted."""
    names = ("measure", "testbed", "family", "over")
    return {tuple(entry[name] for name in names): entry for entry in record["growth"]}


def fits(record: Document) -> dict[GrowthKey, Document]:
    """Every arm's fitted growth; nothing of a curve that did not come to its end."""
    return {
        GrowthKey(
            entry["measure"],
            entry["described"],
            entry["testbed"],
            entry["family"],
            entry["over"],
            tuple(sorted(point["x"] for point in entry["points"].get(arm, ()))),
            arm,
        ): fit
        for entry in record["growth"]
        if not entry["partial"]
        for arm, fit in entry["fits"].items()
    }


def exact(record: Document) -> dict[ExactKey, Document]:
    """Every figure that was counted in instructions."""
    return {
        ExactKey(entry["figure"], entry["testbed"], entry["family"], entry["datapath"]): entry
        for entry in record["exact"]
    }


def assertions(record: Document) -> dict[AssertionKey, list[Document]]:
    """The tests of every assertion."""
    found: dict[AssertionKey, list[Document]] = {}
    for entry in record["conformance"]:
        key = AssertionKey(entry["id"], entry["testbed"], entry["datapath"], entry["family"])
        found.setdefault(key, []).append(entry)
    return found


def matrix(record: Document) -> dict[str, dict[str | None, Counter[str]]]:
    """Catalogue entry → datapath → outcome → how many tests."""
    found: dict[str, dict[str | None, Counter[str]]] = {}
    for entry in record["conformance"]:
        cells = found.setdefault(entry["id"], {})
        cells.setdefault(entry["datapath"], Counter())[entry["outcome"]] += 1
    return {identity: found[identity] for identity in sorted(found)}
