# SPDX-License-Identifier: Apache-2.0
"""The gate: is anything worse in the new record than in the base, or missing from it? Floor 6."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.record import parts
from harness.record.change import FASTER, SLOWER, Change, changes
from harness.record.schema import Document


@dataclass(frozen=True)
class Judgement:
    """What the gate found.

    Attributes:
        regressions: What became slower beyond the noise.
        improvements: What became faster beyond it.
        conformance: What passed in the base and does not now, a line each.
        growth: What grows now and did not in the base, a line each.
        missing: What the base has and the new record has not, a line each.
        compared: How many figures were compared.
        asserted: How many assertions that passed in the base were looked up.
    """

    regressions: list[Change]
    improvements: list[Change]
    conformance: list[str]
    growth: list[str]
    missing: list[str]
    compared: int
    asserted: int

    @property
    def passed(self) -> bool:
        """Whether nothing is worse and nothing missing."""
        return not (self.regressions or self.conformance or self.growth or self.missing)

    @property
    def empty(self) -> bool:
        """Whether the base held nothing to judge by."""
        return not (self.compared or self.asserted or self.missing)


def judge(base: Document, new: Document, absolute: bool = False) -> Judgement:
    """Judge a new record by a base.

    A datapath is judged by its ratio to the baseline of its own run, and by its exact figures.

    Args:
        base: What was good.
        new: What is to be judged.
        absolute: Judge every arm's values too, the baseline's among them: for a quiet machine,
            as between two runs these drift on any other.
    """
    judged = [
        change
        for change in changes(base, new)
        if change.arm != _LIMIT and (absolute or change.against or change.what.endswith(" exact"))
    ]
    passed = {
        key: entries
        for key, entries in parts.assertions(base).items()
        if {"passed"} <= {entry["outcome"] for entry in entries} <= {"passed", "skipped"}
    }
    return Judgement(
        [change for change in judged if change.verdict == SLOWER],
        [change for change in judged if change.verdict == FASTER],
        list(_no_longer_passed(passed, parts.assertions(new))),
        list(_grows(base, new)),
        list(_missing(base, new)),
        len(judged),
        len(passed),
    )


_LIMIT = "limit"  # two namespaces and nothing between: no datapath to be judged


def _no_longer_passed(
    passed: dict[parts.AssertionKey, list[Document]],
    now: dict[parts.AssertionKey, list[Document]],
) -> Iterator[str]:
    for key, entries in passed.items():
        before = {entry["test"] for entry in entries if entry["outcome"] == "passed"}
        found = now.get(key, [])
        # A test of another name counts too: what is asserted has not changed by its renaming.
        worse = [
            entry
            for entry in found
            if entry["outcome"] in ("failed", "error")
            or (entry["outcome"] == "skipped" and entry["test"] in before)
        ]
        for entry in worse:
            why = f"{entry['reason']} ({entry['test']})"
            yield f"{key}: passed before, {entry['outcome']} now: {why}"
        if not worse and not any(entry["outcome"] == "passed" for entry in found):
            yield f"{key}: passed before, {'skipped' if found else 'not run'} now"


def _grows(base: Document, new: Document) -> Iterator[str]:
    """Arms whose cost was constant and is not any more, in whichever direction is worse."""
    fits = parts.fits(new)
    better = {entry["measure"]: entry["better"] for entry in new["growth"]}
    for key, fit in parts.fits(base).items():
        now = fits.get(key)
        if now is None or (fit["model"], now["model"]) != ("constant", "linear"):
            continue
        slope = now["slope"] or 0.0
        if (slope > 0) == (better[key.measure] == "lower"):
            yield (
                f"{key.measure} {key.testbed} {key.family} {key.arm}: constant before, now"
                f" {slope:+.3g} for each of the {key.over}"
            )


def _missing(base: Document, new: Document) -> Iterator[str]:
    others = parts.comparisons(new)
    for key, entry in parts.comparisons(base).items():
        name, other = f"{key.measure} {key.testbed} {key.family}", others.get(key)
        if other is None:
            yield f"{name}: not measured"
        elif other["described"] != entry["described"]:
            yield f"{name}: measured as {other['described']}, and {entry['described']} before"
        elif other["partial"] and not entry["partial"]:
            yield f"{name}: measured in part ({other['partial']})"
        else:
            for label in entry["arms"]:
                if label not in other["arms"]:
                    yield f"{name}: arm {label} not measured"
    for fit in parts.fits(base).keys() - parts.fits(new).keys():
        yield f"{fit.measure} {fit.testbed} {fit.family} over {fit.over}: {fit.arm} not fitted"
    for figure in parts.exact(base).keys() - parts.exact(new).keys():
        yield f"{' '.join(figure)}: not counted"
