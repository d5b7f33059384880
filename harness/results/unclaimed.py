# SPDX-License-Identifier: Apache-2.0
"""Tests that are not claimed, by datapath and claim: for lists of reasons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.results.assertion import NOT_CLAIMED, Assertion, TestOutcome


@dataclass(frozen=True)
class Unclaimed:
    """What one datapath does not claim, and the tests that rest on it.

    Attributes:
        datapath: Its name; empty: the tests assert no entry of the catalogue.
        reason: The claim; after a trial, also what that found.
        tests: In the order of the run.
    """

    datapath: str
    reason: str
    tests: tuple[TestOutcome, ...]

    def __str__(self) -> str:
        """As `legacy: source_check = ipv4 (HR-45)`."""
        ids = sorted({test.id for test in self.tests if isinstance(test, Assertion)})
        head = f"{self.datapath}: " if self.datapath else ""
        tail = f" ({', '.join(ids)})" if ids else ""
        return f"{head}{self.reason}{tail}"


def by_claim(tests: Iterable[TestOutcome]) -> list[Unclaimed]:
    """Those of some tests that are not claimed, by datapath and reason, as they are first met."""
    found: dict[tuple[str, str], list[TestOutcome]] = {}
    for test in tests:
        if test.outcome == NOT_CLAIMED:
            datapath = isinstance(test, Assertion) and test.datapath
            found.setdefault((datapath or "", test.reason), []).append(test)
    return [Unclaimed(*key, tuple(group)) for key, group in found.items()]
