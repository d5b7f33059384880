# SPDX-License-Identifier: Apache-2.0
"""Outcomes of the catalogue: what did not pass and why, the legs seen, what was observed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from harness.report.model import Report
from harness.results.assertion import (
    DEGRADED,
    FAILURES,
    NOT_CLAIMED,
    PASSED,
    SKIPPED,
    Assertion,
    WrongLegs,
)  # fmt: skip
from harness.results.run import Run
from harness.results.tally import Table, table
from harness.results.units import observed as shown_value

Seen = tuple[Run, Assertion]


@dataclass(frozen=True)
class Finding:
    """The same outcome for the same reason, and in which tests."""

    id: str
    kind: str  # its outcome, or degraded
    reason: str
    tests: tuple[Seen, ...]


def seen_by(runs: Iterable[Run]) -> list[Seen]:
    """Every test of the catalogue, with its run."""
    return [(run, test) for run in runs for test in run.conformance]


def by_kernel(seen: Sequence[Seen], titles: Iterable[str], called: Mapping[str, str]) -> Table:
    """Assertion by kernel.

    Args:
        seen: The tests.
        titles: Ids in the catalogue's order.
        called: Kernel → how it is called, in their order.
    """
    shown = {called[run.kernel] for run, _ in seen}
    columns = [name for name in called.values() if name in shown]
    return table([(called[run.kernel], test) for run, test in seen], titles, columns)


def findings(seen: Iterable[Seen], kinds: Sequence[str]) -> list[Finding]:
    """Tests with one of these outcomes, those alike in id and reason together."""
    groups: dict[tuple[str, str, str], list[Seen]] = defaultdict(list)
    for run, test in seen:
        if test.kind in kinds:
            reason = "; ".join(test.degraded) if test.kind == DEGRADED else test.reason
            groups[test.id, test.kind, reason].append((run, test))
    return [
        Finding(identity, kind, reason, tuple(tests))
        for (identity, kind, reason), tests in sorted(groups.items(), key=lambda item: item[0])
    ]


def failures(seen: Iterable[Seen]) -> list[Finding]:
    """What failed, and what could not even start."""
    return findings(seen, FAILURES)


@dataclass(frozen=True)
class Failure:
    """Tests that failed alike: for the same reason, and with the same legs if legs were wrong."""

    id: str
    legs: WrongLegs | None
    tests: tuple[Seen, ...]


def details(found: Iterable[Finding]) -> list[Failure]:
    """Every failure with its tests by name, the legs expected and seen, and where the pcaps are."""
    groups: dict[tuple[str, str, str], list[Seen]] = defaultdict(list)
    for entry in found:
        for run, test in entry.tests:
            legs = test.wrong_legs
            key = (entry.id, entry.reason, legs.side_by_side + legs.delivery if legs else "")
            groups[key].append((run, test))
    return [
        Failure(identity, tests[0][1].wrong_legs, tuple(tests))
        for (identity, _, _), tests in groups.items()
    ]


def asides(seen: Sequence[Seen]) -> dict[str, list[Finding]]:
    """What neither simply passed nor failed: heading → the tests, and why.

    Outcomes of which nothing is known stand under their own names.
    """
    known = {DEGRADED: "Degraded", NOT_CLAIMED: "Not claimed", SKIPPED: "Not on this kernel"}
    others = {test.kind for _, test in seen} - {PASSED, *FAILURES, *known}
    headings = {**known, **{kind: kind.capitalize() for kind in sorted(others)}}
    found = {title: findings(seen, (kind,)) for kind, title in headings.items()}
    return {title: entries for title, entries in found.items() if entries}


def rerun(seen: Iterable[Seen]) -> list[Seen]:
    """Tests of which the first attempt does not count."""
    return [(run, test) for run, test in seen if test.reruns]


def not_asserted(seen: Sequence[Seen], report: Report) -> dict[str, str]:
    """Reason → the ids of the catalogue that no test asserted, as in `HR-24 to HR-26, HR-32`."""
    if not seen:
        return {}
    asserted = {test.id for _, test in seen}
    reasons = {i: "" if i in asserted else report.later.get(i) or "not run" for i in report.titles}
    found: dict[str, list[str]] = {}
    for reason, group in groupby(reasons, key=reasons.__getitem__):
        ids = list(group)
        if reason:
            neighbours = [f"{ids[0]} to {ids[-1]}"] if len(ids) > 2 else ids
            found.setdefault(reason, []).extend(neighbours)
    return {reason: ", ".join(ids) for reason, ids in found.items()}


def legs(seen: Iterable[Seen]) -> dict[str, dict[str, list[Seen]]]:
    """Id → table of legs → the tests that saw exactly these."""
    found: dict[str, dict[str, list[Seen]]] = defaultdict(lambda: defaultdict(list))
    for run, test in seen:
        for text in test.legs:
            found[test.id][text].append((run, test))
    return {identity: dict(tables) for identity, tables in sorted(found.items())}


def observed(seen: Iterable[Seen]) -> dict[tuple[str, str], dict[str, list[Seen]]]:
    """Id and name of an observation → value → the tests that made it."""
    found: dict[tuple[str, str], dict[str, list[Seen]]] = defaultdict(lambda: defaultdict(list))
    for run, test in seen:
        for name, value in test.observed.items():
            found[test.id, name][shown_value(value)].append((run, test))
    return {key: dict(values) for key, values in sorted(found.items())}


def where(tests: Iterable[Seen], kernels: Mapping[str, str]) -> list[str]:
    """The tests by what they ran on, as in `one_node bpf ipv4, ipv6 on 5.10, 6.1`.

    Args:
        tests: Each place is named once.
        kernels: Every kernel → how it is called; with one, or none, it goes without saying.
    """
    places: dict[tuple[str, str], dict[str, dict[str, None]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for run, test in tests:
        place = test.testbed or "", test.datapath or ""
        places[place][test.family or ""][kernels.get(run.kernel, "")] = None
    found = []
    for place, families in places.items():
        alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for family, names in families.items():
            alike[tuple(name for name in kernels.values() if name in names)].append(family)
        for on_these, together in alike.items():
            on = "" if len(kernels) <= 1 else "on " + ", ".join(on_these)
            if len(on_these) == len(kernels) > 1:
                on = "on every kernel"
            found.append(" ".join(filter(None, (*place, ", ".join(filter(None, together)), on))))
    return found
