# SPDX-License-Identifier: Apache-2.0
"""What became of the catalogue: a matrix, what did not pass and why, and the legs seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from harness.report.model import Check, Report, Run

ANY = "any"  # the column of tests that no datapath in particular takes
_FAILED = ("failed", "error")
Seen = tuple[Run, Check]


@dataclass(frozen=True)
class Cell:
    """Tests of one assertion in one column, by what became of them."""

    passed: int = 0
    degraded: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def state(self) -> str:
        """The worst that is to be said of it: fail, degraded, pass, skipped; none: did not run."""
        if self.failed:
            return "fail"
        if self.degraded:
            return "degraded"
        return "pass" if self.passed else "skipped" if self.skipped else "none"

    @property
    def summary(self) -> str:
        """The same in words, for many assertions together."""
        ran = self.passed + self.degraded + self.failed
        words = [f"{self.failed} of {ran} failed" if self.failed else f"all {ran} passed"]
        words += [f"{self.degraded} degraded"] if self.degraded else []
        words += [f"{self.skipped} skipped"] if self.skipped else []
        return ", ".join(words) if ran or self.skipped else "not run"

    def __str__(self) -> str:
        ran = self.passed + self.degraded + self.failed
        words = {
            "fail": f"FAIL {self.failed} of {ran}",
            "degraded": f"degraded {self.degraded} of {ran}",
            "pass": f"pass {self.passed}",
            "skipped": f"not on this kernel ({self.skipped})",
            "none": "",
        }[self.state]
        return words + (f", {self.skipped} not on this kernel" if self.skipped and ran else "")


@dataclass(frozen=True)
class Matrix:
    """Assertion by column.

    Attributes:
        columns: Datapaths, or kernels.
        rows: Id → a cell for each column; in the catalogue's order.
        total: All the tests.
    """

    columns: tuple[str, ...]
    rows: Mapping[str, tuple[Cell, ...]]
    total: Cell


@dataclass(frozen=True)
class Finding:
    """The same outcome for the same reason, and in which tests."""

    id: str
    kind: str  # failed, error, degraded or skipped
    reason: str
    tests: tuple[Seen, ...]


def count(checks: Iterable[Check]) -> Cell:
    """A cell of these tests."""
    numbers: dict[str, int] = defaultdict(int)
    for check in checks:
        numbers[kind_of(check)] += 1
    failed = sum(numbers[kind] for kind in _FAILED)
    return Cell(numbers["passed"], numbers["degraded"], failed, numbers["skipped"])


def kind_of(check: Check) -> str:
    """Its outcome; one that passed on a node that runs less than it was asked for is degraded."""
    return "degraded" if check.outcome == "passed" and check.degraded else check.outcome


def seen_by(runs: Iterable[Run]) -> list[Seen]:
    """Every test, with its run."""
    return [(run, check) for run in runs for check in run.checks]


def matrix(
    seen: Sequence[Seen], titles: Iterable[str], column: Callable[[Run, Check], str],
    columns: Iterable[str] = (),
) -> Matrix:  # fmt: skip
    """Fill it in.

    Args:
        seen: The tests.
        titles: Ids in the catalogue's order; ids that it does not have come last.
        column: Which one a test belongs to.
        columns: Their order; those not named come last, as found.
    """
    cells: dict[str, dict[str, list[Check]]] = defaultdict(lambda: defaultdict(list))
    found = dict.fromkeys(column(run, check) for run, check in seen)
    for run, check in seen:
        cells[check.id][column(run, check)].append(check)
    names = [name for name in dict.fromkeys([*columns, *found]) if name in found]
    ids = [identity for identity in dict.fromkeys([*titles, *sorted(cells)]) if identity in cells]
    return Matrix(
        columns=tuple(names),
        rows={i: tuple(count(cells[i][name]) for name in names) for i in ids},
        total=count(check for _, check in seen),
    )


def by_datapath(run: Run, check: Check) -> str:
    """A column for each datapath."""
    del run
    return check.datapath or ANY


def findings(seen: Iterable[Seen], kinds: Sequence[str]) -> list[Finding]:
    """Tests with one of these outcomes, those alike in id and reason together."""
    groups: dict[tuple[str, str, str], list[Seen]] = defaultdict(list)
    for run, check in seen:
        kind = kind_of(check)
        if kind in kinds:
            reason = "; ".join(check.degraded) if kind == "degraded" else check.reason
            groups[check.id, kind, reason].append((run, check))
    return [
        Finding(identity, kind, reason, tuple(tests))
        for (identity, kind, reason), tests in sorted(groups.items(), key=lambda item: item[0])
    ]


def failures(seen: Iterable[Seen]) -> list[Finding]:
    """What failed, and what could not even start."""
    return findings(seen, _FAILED)


def not_asserted(seen: Sequence[Seen], report: Report) -> dict[str, str]:
    """Reason → the ids of the catalogue that no test asserted, as in `HR-24 to HR-26, HR-32`."""
    if not seen:
        return {}
    asserted = {check.id for _, check in seen}
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
    for run, check in seen:
        for table in check.legs:
            found[check.id][table].append((run, check))
    return {identity: dict(tables) for identity, tables in sorted(found.items())}


def observed(seen: Iterable[Seen]) -> dict[tuple[str, str], dict[str, list[Seen]]]:
    """Id and name of an observation → value → the tests that made it."""
    found: dict[tuple[str, str], dict[str, list[Seen]]] = defaultdict(lambda: defaultdict(list))
    for run, check in seen:
        for name, value in check.observed.items():
            found[check.id, name][value].append((run, check))
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
    for run, check in tests:
        places[check.testbed, check.datapath][check.family][kernels.get(run.kernel, "")] = None
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
