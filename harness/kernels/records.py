# SPDX-License-Identifier: Apache-2.0
"""What a guest's records say of its kernel: outcomes of tests, and figures counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.plumbing.errors import RecordError
from harness.plumbing.printable import aligned
from harness.results import ExactFigure, TestOutcome, find, read_all, units
from harness.results.assertion import NOT_CLAIMED, PASSED
from harness.results.tally import table
from harness.results.unclaimed import by_claim


@dataclass(frozen=True)
class Found:
    """What a guest's records hold.

    Attributes:
        tests: What became of its tests.
        exact: What was counted in instructions.
        unread: Why a record cannot be read, a line each.
    """

    tests: tuple[TestOutcome, ...] = ()
    exact: tuple[ExactFigure, ...] = ()
    unread: tuple[str, ...] = ()


def read(directory: Path) -> Found:
    """The records that a guest left; it may have left none, or been cut off while it wrote one."""
    tests: list[TestOutcome] = []
    exact: list[ExactFigure] = []
    unread: list[str] = []
    for path in find(directory) if directory.is_dir() else []:
        try:
            for run in read_all([path]):
                tests += run.tests
                exact += run.exact
        except RecordError as error:
            unread.append(str(error))
    return Found(tuple(tests), tuple(exact), tuple(unread))


def matrix(
    kernels: Mapping[str, Iterable[TestOutcome]], titles: Mapping[str, str]
) -> list[str]:  # fmt: skip
    """Assertions as rows, kernels as columns, for a terminal; a row for tests that assert none.

    Args:
        kernels: Head of the column → the tests on that kernel.
        titles: Entry of the catalogue → what it asserts, in order.
    """
    seen = [(name, test) for name, tests in kernels.items() for test in tests]
    return aligned(table(seen, titles, kernels).lines(titles))


def remarks(tests: Sequence[TestOutcome]) -> Iterator[str]:
    """What needs a word: failures by name, other outcomes by their reasons, reruns."""
    yield from (f"{test.test}: {test.reason}" for test in tests if test.failed)
    others = Counter(
        (test.outcome, test.reason)
        for test in tests
        if not test.failed and test.outcome not in (PASSED, NOT_CLAIMED)
    )
    yield from (f"{count} {outcome}: {reason}" for (outcome, reason), count in others.items())
    yield from (f"{len(group.tests)} {NOT_CLAIMED}: {group}" for group in by_claim(tests))
    for test in tests:
        if test.reruns:
            again = units.count(test.reruns, "time")
            yield f"{test.test}: {test.outcome} in the end, run again {again}"
