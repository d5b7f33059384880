# SPDX-License-Identifier: Apache-2.0
"""The gate: is anything worse in the new record than in the base, or missing from it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.results import index
from harness.results.assertion import Assertion
from harness.results.compare import LEAST, Change, changes
from harness.results.comparison import FASTER, LIMIT, PARTIAL, SLOWER
from harness.results.growth import CONSTANT, LINEAR
from harness.results.run import Run


@dataclass(frozen=True)
class GateResult:
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


def judge(base: Run, new: Run, absolute: bool = False, least: float = LEAST) -> GateResult:
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
        if change.arm != LIMIT and (absolute or change.against or change.exact)
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
        if any(entry.passed for entry in entries)
    }
    return GateResult(
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


def _without_ratio(base: Run, new: Run) -> Iterator[tuple[bool, str]]:
    """Arms of which no ratio can be made: whether that is the new record's fault, and a line."""
    others = index.comparisons(new)
    for key, entry in index.comparisons(base).items():
        arms = others[key].arms if key in others else {}
        for label, arm in entry.arms.items():
            if label == LIMIT or arm.again or label not in arms:
                continue
            if not (arm.has_ratio and arms[label].has_ratio):
                line = f"{entry.full_name}: {label}: no ratio can be made of its values"
                yield arm.has_ratio, line


def _alone(base: Run) -> Iterator[str]:
    """Arms that nothing was measured beside: there is no ratio to judge them by."""
    for entry in base.comparisons:
        labels = [
            label
            for label, arm in entry.arms.items()
            if label != LIMIT and not arm.again and arm.measured
        ]
        if len(labels) == 1:
            yield f"{entry.full_name}: {labels[0]}: no arm beside it, judged with --absolute only"


_ENOUGH = 4  # builds that could tell a difference from as many: 2 / 70 of all orders are extreme
_BLIND = 5  # times the least change that counts: with a noise floor beyond it little can be told


def _no_longer_passed(
    passed: Mapping[index.AssertionKey, Sequence[Assertion]],
    now: Mapping[index.AssertionKey, Sequence[Assertion]],
) -> Iterator[str]:
    for key, entries in passed.items():
        before = {entry.test for entry in entries if entry.passed}
        held = not any(entry.failed for entry in entries)
        found = now.get(key, [])
        # Where all had passed, a test of another name counts too: what is asserted has not changed
        # by its renaming. An outcome of which nothing is known is no pass either.
        worse = [
            entry
            for entry in found
            if (entry.failed and held) or (not entry.passed and entry.test in before)
        ]
        for entry in worse:
            yield f"{key}: passed before, {entry.outcome} now: {entry.reason} ({entry.test})"
        if worse:
            continue
        passes = sum(entry.passed for entry in found)
        if not passes:
            instead = ", ".join(dict.fromkeys(entry.outcome for entry in found if not entry.failed))
            yield f"{key}: passed before, {instead or 'not run'} now"
        elif passes < len(before):
            yield f"{key}: {len(before)} tests passed before, {passes} now"


def fitted_in_both(base: Run, new: Run) -> int:
    """Of how many arms both records know how a cost of theirs grows."""
    return len(index.fits(base).keys() & index.fits(new).keys())


def grows(base: Run, new: Run, least: float = LEAST) -> Iterator[str]:
    """Arms whose cost was constant and is not any more, in whichever direction is worse.

    As with other changes the whole interval has to exceed the least that counts: what the nearer
    end of the slope's comes to over the points, as a share of the value at 0.
    """
    fits = index.fits(new)
    better = {entry.measure: entry.better for entry in new.growth}
    for key, fit in index.fits(base).items():
        now = fits.get(key)
        if now is None or (fit.model, now.model) != (CONSTANT, LINEAR):
            continue
        slope = now.slope or 0.0
        if now.rise(key.at[-1] - key.at[0]) <= least:
            continue
        if (slope > 0) == (better[key.measure] == "lower"):
            yield f"{key}: constant before, now {slope:+.3g} for each of the {key.over}"


def missing(base: Run, new: Run) -> Iterator[str]:
    """What the base has and the new record lacks or has otherwise, a line each.

    What the base itself got no value of is not missed, nor is the limit, nor the arm that was
    measured twice: which one that is follows from the arms that were chosen.
    """
    others = index.comparisons(new)
    for key, entry in index.comparisons(base).items():
        if not any(arm.measured for arm in entry.arms.values()):
            continue
        other = others.get(key)
        if other is None:
            yield f"{key}: not measured"
        elif other.described != entry.described:
            yield f"{key}: measured as {other.described}, {entry.described} in the other"
        elif other.partial and not entry.partial:
            yield f"{key}: measured in part ({other.partial})"
        else:
            for label, arm in entry.arms.items():
                if label not in other.arms and label != LIMIT and not arm.again:
                    yield f"{key}: arm {label} not measured"
    fitted, counted = index.fits(new), index.exact(new)
    yield from (f"{curve} not fitted" for curve in index.fits(base) if curve not in fitted)
    yield from (f"{key}: not counted" for key in index.exact(base) if key not in counted)
