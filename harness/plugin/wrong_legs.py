# SPDX-License-Identifier: Apache-2.0
"""The legs that made a test fail: whole, once, in the terminal, in the record and in reports.

pytest cuts what an assertion says to eight lines. So the assertion says one, and the tables are a
section of the report.
"""

from __future__ import annotations

import pytest

from harness.results.assertion import WrongLegs
from harness.watch.legs import Difference, LegTable

#: The property of a failed test's report that has its `WrongLegs`.
WRONG_LEGS = "wrong legs"
SECTION = "legs: expected and seen"
_COMPARED = pytest.StashKey[list[Difference]]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin."""
    config.stash[_COMPARED] = []


def pytest_assertrepr_compare(
    config: pytest.Config, op: str, left: object, right: object
) -> list[str] | None:
    """Say in one line that legs are wrong, and remember the tables."""
    seen, expected = (left, right) if isinstance(left, LegTable) else (right, left)
    if op != "==" or not isinstance(seen, LegTable) or not isinstance(expected, str | LegTable):
        return None
    table = LegTable.parse(expected) if isinstance(expected, str) else expected
    difference = Difference(table, seen)
    config.stash[_COMPARED].append(difference)
    return [difference.headline]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What other tests compared is not this one's."""
    item.config.stash[_COMPARED].clear()


def of_failure(
    config: pytest.Config, failed: pytest.ExceptionInfo[BaseException]
) -> WrongLegs | None:
    """The legs that a test failed for; None: it failed for something else."""
    said = str(failed.value)
    compared = config.stash[_COMPARED]
    for difference in reversed(compared):
        if difference.headline in said:  # others were caught
            return WrongLegs(
                expected=str(difference.expected),
                seen=str(difference.seen),
                missing=difference.missing,
                extra=difference.extra,
                delivery=difference.delivery(failed.traceback[-1].frame.f_globals),
                side_by_side="\n".join(difference.lines()),
            )
    return None


def section(legs: WrongLegs) -> tuple[str, str]:
    """Heading and text of what the terminal shows."""
    return SECTION, "\n".join(filter(None, (legs.side_by_side, legs.delivery)))
