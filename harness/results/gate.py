# SPDX-License-Identifier: Apache-2.0
"""The gate: is anything worse in the new record than in the base, or missing from it?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.results import index
from harness.results.compare import (
    FASTER,
    LEAST,
    PARTIAL,
    SLOWER,
    Change,
    changes,
    has_ratio,
    name_of,
)
from harness.results.schema import Document


@dataclass(frozen=True)
class Judgement:
    """What the gate found.

    Attributes:
        regressions: What became slower beyond the noise.
        improvements: What became faster beyond it.
        conformance: What passed in the base and does not now, a line each.
        growth: What grows now and did not in the base, a line each.
        missing: What the base has and the new record has not, a line each.
        untold: What cannot be judged by this base, a line each: too few builds, zeros, what was
            measured in part, what noise hides.
        compared: How many figures were compared.
        asserted: How many assertions with tests that passed in the base were looked up.
        fitted: How many arms' growth is known in both.
    """

    regressions: list[Change]
    improvements: list[Change]
    conformance: list[str]
    growth: list[str]
    missing: list[str]
    untold: list[str]
    compared: int
    asserted: int
    fitted: int

    @property
    def passed(self) -> bool:
        """Whether nothing is worse and nothing missing."""
        return not (self.regressions or self.conformance or self.growth or self.missing)

    @property
    def empty(self) -> bool:
        """Whether the base held nothing to judge by."""
        return not (self.compared or self.asserted or self.fitted or self.missing)


def judge(base: Document, new: Document, absolute: bool = False, least: float = LEAST) -> Judgement:
    """Judge a new record by a base.

    A datapath is judged by its ratio to the baseline of its own run, and by its exact figures.

    Args:
        base: What was good.
        new: What is to be judged.
        absolute: Judge every arm's values too, the baseline's among them: for a quiet machine,
            as between two runs these drift on any other.
        least: The least change that counts, as a share.
    """
    judged = [
        change
        for change in changes(base, new, least)
        if change.arm != _LIMIT and (absolute or change.against or change.exact)
    ]
    short = [
        *_without_ratio(base, new),
        *_too_few(judged),
        *_in_part(judged),
        *_blind(judged, least),
    ]
    short += [] if absolute else [(False, line) for line in _alone(base)]
    passed = {
        key: entries
        for key, entries in index.assertions(base).items()
        if any(entry["outcome"] == "passed" for entry in entries)
    }
    return Judgement(
        [change for change in judged if change.verdict == SLOWER],
        [change for change in judged if change.verdict == FASTER],
        list(_no_longer_passed(passed, index.assertions(new))),
        list(grows(base, new, least)),
        [*missing(base, new), *(line for new_is_short, line in short if new_is_short)],
        [line for new_is_short, line in short if not new_is_short],
        sum(each.telling for each in judged),
        len(passed),
        fitted_in_both(base, new),
    )


def _too_few(judged: list[Change]) -> Iterator[tuple[bool, str]]:
    """Too few builds to tell anything: whether that is the new record's fault, and a line."""
    for change in judged:
        if not change.telling:
            builds = "{} builds in the base, {} in the new record".format(*change.builds)
            line = f"{change.what}: {change.arm}: {builds}, too few to tell"
            yield change.builds[0] >= _ENOUGH, line


def _in_part(judged: list[Change]) -> Iterator[tuple[bool, str]]:
    """What was measured in part: there is no verdict of it. If new alone was, it is missing."""
    for what in dict.fromkeys(change.what for change in judged if change.verdict == PARTIAL):
        yield False, f"{what}: measured in part"


def _blind(judged: list[Change], least: float) -> Iterator[tuple[bool, str]]:
    """Figures that were judged, but of which the noise hides all but the coarsest change."""
    for change in judged:
        if not change.exact and change.telling and change.noise > _BLIND * max(least, LEAST):
            yield False, f"{change.what}: {change.arm}: noise of {change.noise:.0%} hides any less"


def _without_ratio(base: Document, new: Document) -> Iterator[tuple[bool, str]]:
    """Arms of which no ratio can be made: whether that is the new record's fault, and a line."""
    others = index.comparisons(new)
    for key, entry in index.comparisons(base).items():
        other = others.get(key, {"arms": {}})
        for label, arm in entry["arms"].items():
            if label == _LIMIT or arm["again"] or label not in other["arms"]:
                continue
            usable = [has_ratio(each) for each in (arm, other["arms"][label])]
            if not all(usable):
                yield usable[0], f"{name_of(entry)}: {label}: no ratio can be made of its values"


def _alone(base: Document) -> Iterator[str]:
    """Arms that nothing was measured beside: there is no ratio to judge them by."""
    for entry in base["comparisons"]:
        labels = [
            label
            for label, arm in entry["arms"].items()
            if label != _LIMIT and not arm["again"] and any(arm["values"])
        ]
        if len(labels) == 1:
            yield f"{name_of(entry)}: {labels[0]}: no arm beside it, judged with --absolute only"


_ENOUGH = 4  # builds that could tell a difference from as many: 2 / 70 of all orders are extreme
_FAILED = ("failed", "error")
_BLIND = 5  # times the least change that counts: with a noise floor beyond it little can be told
_LIMIT = "limit"  # two namespaces and nothing between: no datapath to be judged


def _no_longer_passed(
    passed: dict[index.AssertionKey, list[Document]],
    now: dict[index.AssertionKey, list[Document]],
) -> Iterator[str]:
    for key, entries in passed.items():
        before = {entry["test"] for entry in entries if entry["outcome"] == "passed"}
        held = not any(entry["outcome"] in _FAILED for entry in entries)
        found = now.get(key, [])
        # Where all had passed, a test of another name counts too: what is asserted has not changed
        # by its renaming.
        worse = [
            entry
            for entry in found
            if (entry["outcome"] in _FAILED and (held or entry["test"] in before))
            or (entry["outcome"] == "skipped" and entry["test"] in before)
        ]
        for entry in worse:
            why = f"{entry['reason']} ({entry['test']})"
            yield f"{key}: passed before, {entry['outcome']} now: {why}"
        if worse:
            continue
        passes = sum(entry["outcome"] == "passed" for entry in found)
        if not passes:
            skipped = any(entry["outcome"] == "skipped" for entry in found)
            yield f"{key}: passed before, {'skipped' if skipped else 'not run'} now"
        elif passes < len(before):
            yield f"{key}: {len(before)} tests passed before, {passes} now"


def fitted_in_both(base: Document, new: Document) -> int:
    """Of how many arms both records know how a cost of theirs grows."""
    return len(index.fits(base).keys() & index.fits(new).keys())


def grows(base: Document, new: Document, least: float = LEAST) -> Iterator[str]:
    """Arms whose cost was constant and is not any more, in whichever direction is worse.

    As with other changes the whole interval has to exceed the least that counts: what the nearer
    end of the slope's comes to over the points, as a share of the value at 0.
    """
    fits = index.fits(new)
    better = {entry["measure"]: entry["better"] for entry in new["growth"]}
    for key, fit in index.fits(base).items():
        now = fits.get(key)
        if now is None or (fit["model"], now["model"]) != ("constant", "linear"):
            continue
        slope = now["slope"] or 0.0
        if _rise(now, key.at[-1] - key.at[0]) <= least:
            continue
        if (slope > 0) == (better[key.measure] == "lower"):
            yield f"{key}: constant before, now {slope:+.3g} for each of the {key.over}"


def _rise(fit: Document, reach: float) -> float:
    """By what share the value changes at least, over so many; an end not known: by nothing."""
    ends = [fit["low"], fit["high"]]
    if None in ends or min(ends) <= 0 <= max(ends) or not fit["intercept"]:
        return 0.0
    return float(min(map(abs, ends)) * reach / abs(fit["intercept"]))


def missing(base: Document, new: Document) -> Iterator[str]:
    """What the base has and the new record lacks or has otherwise, a line each.

    What the base itself got no value of is not missed, nor is the limit, nor the arm that was
    measured twice: which one that is follows from the arms that were chosen.
    """
    others = index.comparisons(new)
    for key, entry in index.comparisons(base).items():
        if not any(build for arm in entry["arms"].values() for build in arm["values"]):
            continue
        name, other = f"{key.measure} {key.testbed} {key.family}", others.get(key)
        if other is None:
            yield f"{name}: not measured"
        elif other["described"] != entry["described"]:
            yield f"{name}: measured as {other['described']}, {entry['described']} in the other"
        elif other["partial"] and not entry["partial"]:
            yield f"{name}: measured in part ({other['partial']})"
        else:
            for label, arm in entry["arms"].items():
                if label not in other["arms"] and label != _LIMIT and not arm["again"]:
                    yield f"{name}: arm {label} not measured"
    for fit in index.fits(base).keys() - index.fits(new).keys():
        yield f"{fit} not fitted"
    for figure in index.exact(base).keys() - index.exact(new).keys():
        yield f"{' '.join(figure)}: not counted"
