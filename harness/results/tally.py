# SPDX-License-Identifier: Apache-2.0
"""The table of assertions: by datapath or by kernel, how many tests came to which outcome.

One table for the end of a run, `results show`, `hostroute kernels`, the page and the job's summary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.results import units
from harness.results.assertion import (
    DEGRADED,
    ERROR,
    FAILED,
    FAILURES,
    NOT_CLAIMED,
    PASSED,
    SKIPPED,
    Assertion,
    TestOutcome,
)  # fmt: skip

#: The column of tests that no datapath in particular takes.
ANY = "any"
#: The row of tests that assert no entry of the catalogue.
OTHERS = ""
# What a cell calls an outcome, in the order in which it has them; any other by its own name.
_WORDS = {PASSED: "ok", DEGRADED: "degraded", FAILED: "FAILED", ERROR: "ERROR", SKIPPED: "skipped",
          NOT_CLAIMED: "not claimed"}  # fmt: skip
_RAN = (PASSED, DEGRADED, *FAILURES)


class Tally:
    """How many tests came to which outcome.

    Attributes:
        kinds: Outcome → how many; one that passed on a degraded node is `degraded`.
        reruns: How many attempts failed before those that count.
    """

    def __init__(self, tests: Iterable[TestOutcome] = ()) -> None:
        found = list(tests)
        self.kinds = Counter(test.kind for test in found)
        self.reruns = sum(test.reruns for test in found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tally) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # it is counted in

    def __bool__(self) -> bool:
        return bool(self.kinds)

    @property
    def passed(self) -> int:
        """Those that passed where everything ran that was asked for."""
        return self.kinds[PASSED]

    @property
    def failed(self) -> int:
        """Those that failed, and those that could not even start."""
        return sum(self.kinds[kind] for kind in FAILURES)

    @property
    def ran(self) -> int:
        """Those that passed, degraded or not, or failed."""
        return sum(self.kinds[kind] for kind in _RAN)

    @property
    def others(self) -> dict[str, int]:
        """Outcomes that neither passed nor failed: skipped, not claimed, and what nobody knows."""
        return {kind: count for kind, count in self._ordered().items() if kind not in _RAN}

    @property
    def state(self) -> str:
        """The worst that is to be said of it, in one word; none: it is empty.

        That is: fail, degraded, pass, other, unclaimed, skipped.
        """
        if self.failed:
            return "fail"
        if self.kinds[DEGRADED]:
            return "degraded"
        if self.passed:
            return "pass"
        if set(self.kinds) - {SKIPPED, NOT_CLAIMED}:
            return "other"
        return "unclaimed" if self.kinds[NOT_CLAIMED] else "skipped" if self.kinds else "none"

    @property
    def asides(self) -> list[str]:
        """What did not simply pass or fail, for a sentence."""
        words = [f"{self.kinds[DEGRADED]} on a degraded node"] if self.kinds[DEGRADED] else []
        words += [f"{count} {kind}" for kind, count in self.others.items()]
        return words + ([units.count(self.reruns, "rerun")] if self.reruns else [])

    @property
    def summary(self) -> str:
        """The same in words, for many assertions together."""
        words = [f"{self.failed} of {self.ran} failed" if self.failed else f"all {self.ran} passed"]
        return ", ".join([*(words if self.ran else []), *self.asides]) or "not run"

    def _ordered(self) -> dict[str, int]:
        kinds = [*_WORDS, *sorted(set(self.kinds) - _WORDS.keys())]
        return {kind: self.kinds[kind] for kind in kinds if self.kinds[kind]}

    def __str__(self) -> str:
        """As in a cell: `6 ok 2 FAILED (1 rerun)`; empty: no test."""
        words = [f"{count} {_WORDS.get(kind, kind)}" for kind, count in self._ordered().items()]
        words += [f"({units.count(self.reruns, 'rerun')})"] if self.reruns else []
        return " ".join(words)


@dataclass(frozen=True)
class Table:
    """Assertion by column.

    Attributes:
        columns: Datapaths, or kernels.
        rows: Id, or `OTHERS` → a cell for each column; in the catalogue's order.
        total: All the tests.
    """

    columns: tuple[str, ...]
    rows: Mapping[str, tuple[Tally, ...]]
    total: Tally

    def lines(self, titles: Mapping[str, str]) -> list[list[str]]:
        """Its cells as texts, with a head: for a terminal."""
        found = [["", *self.columns]]
        for identity, cells in self.rows.items():
            head = f"{identity}  {titles.get(identity, '')}".rstrip() or "other tests"
            found.append([head, *(str(cell) or "." for cell in cells)])
        return found


def table(
    seen: Iterable[tuple[str, TestOutcome]], ids: Iterable[str] = (), columns: Iterable[str] = ()
) -> Table:
    """Fill it in.

    Args:
        seen: Column, and test.
        ids: In the catalogue's order; ids that it does not have come after.
        columns: In their order, also empty ones; those not named come last, as found.
    """
    cells: dict[str, dict[str, list[TestOutcome]]] = {}
    names = dict.fromkeys(columns)
    every = []
    for column, test in seen:
        names[column] = None
        row = test.id if isinstance(test, Assertion) else OTHERS
        cells.setdefault(row, {}).setdefault(column, []).append(test)
        every.append(test)
    rows = [row for row in dict.fromkeys([*ids, *sorted(cells)]) if row in cells and row != OTHERS]
    rows += [OTHERS] if OTHERS in cells else []
    return Table(
        columns=tuple(names),
        rows={row: tuple(Tally(cells[row].get(name, ())) for name in names) for row in rows},
        total=Tally(every),
    )


def by_datapath(
    tests: Iterable[Assertion], ids: Iterable[str] = (), datapaths: Iterable[str] = ()
) -> Table:
    """Assertion by datapath; datapaths in the given order, those of no test left out.

    Args:
        tests: Those of a run.
        ids: In the catalogue's order.
        datapaths: In their order; others come after, and last what is of none in particular.
    """
    seen = [(test.datapath or ANY, test) for test in tests]
    found = dict.fromkeys(column for column, _ in seen)
    known = [name for name in datapaths if name in found]
    return table(seen, ids, [*known, *(n for n in found if n not in (*known, ANY)),
                             *([ANY] if ANY in found else [])])  # fmt: skip
