# SPDX-License-Identifier: Apache-2.0
"""What tests found otherwise in another run: outcomes, and what they observed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.results import units
from harness.results.assertion import Observed
from harness.results.run import Run


@dataclass(frozen=True)
class Behaviour:
    """Something that a test of the catalogue found otherwise.

    Attributes:
        id: Entry of the catalogue.
        test: The test's node id.
        what: `outcome`, or the name of what was observed.
        old: What the first record says; None: nothing.
        new: What the second says.
    """

    id: str
    test: str
    what: str
    old: Observed
    new: Observed

    def __str__(self) -> str:
        values = f"{units.observed(self.old)} -> {units.observed(self.new)}"
        return f"{self.id} {self.test}: {self.what} {values}"


def common_tests(old: Run, new: Run) -> int:
    """How many tests of the catalogue both runs had."""
    tests = [{entry.test for entry in run.conformance} for run in (old, new)]
    return len(tests[0] & tests[1])


def behaviours(old: Run, new: Run) -> Iterator[Behaviour]:
    """Everything that tests which both runs had found otherwise.

    What a test observed before it was skipped or failed is not held against one that passed.
    """
    others = {entry.test: entry for entry in new.conformance}
    for entry in old.conformance:
        other = others.get(entry.test)
        if other is None:
            continue
        if entry.outcome != other.outcome:
            yield Behaviour(entry.id, entry.test, "outcome", entry.outcome, other.outcome)
            continue
        before, after = entry.observed, other.observed
        for name in dict.fromkeys((*before, *after)):
            if before.get(name) != after.get(name):
                yield Behaviour(entry.id, entry.test, name, before.get(name), after.get(name))
