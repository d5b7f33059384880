# SPDX-License-Identifier: Apache-2.0
"""Outcomes of tests: of those that assert an entry of the catalogue, and of the others.

Outcomes are an open set. What this harness does not know, as a plugin's, is shown under its own
name, and counts neither as passed nor as failed.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from harness.results.part import Count, Family, Part, PodDevice, Text

PASSED, FAILED, ERROR, SKIPPED = "passed", "failed", "error", "skipped"
#: The datapath does not say that it does what the test rests on: it has not failed, nor was it
#: excused by its kernel.
NOT_CLAIMED = "not claimed"
#: Not an outcome that is recorded: passed, on a node that ran less than it was asked for.
DEGRADED = "degraded"
#: Of an attempt that pytest-rerunfailures repeats; a record has it only if no attempt ended.
RERUN = "rerun"
FAILURES = (FAILED, ERROR)
#: What a test may say it observed.
Observed = str | int | float | bool | None


class TestOutcome(Part, frozen=True, kw_only=True):
    """What became of one test, whatever it asserts.

    Attributes:
        test: Its node id.
        outcome: `passed`, `failed`, `skipped`, `error` (its fixtures failed, not its assertions),
            `not claimed`, or a word of whoever decided it.
        reason: Why it was skipped, the claim that its datapath declines, or the failure in one
            line; empty: it passed.
        reruns: How many attempts failed before the one that counts.
    """

    __test__ = False  # pytest takes a class of this name for one of tests

    test: str
    outcome: Text
    reason: str
    reruns: Count = 0

    @property
    def kind(self) -> str:
        """Its outcome; one that passed on a degraded node is degraded."""
        return self.outcome

    @property
    def passed(self) -> bool:
        """Whether it passed, on a degraded node or not."""
        return self.outcome == PASSED

    @property
    def failed(self) -> bool:
        """Whether it failed, or could not even start."""
        return self.outcome in FAILURES

    @property
    def ran(self) -> bool:
        """Whether it came to a judgement: passed, degraded or not, or failed."""
        return self.passed or self.failed


class WrongLegs(Part, frozen=True, kw_only=True):
    """Legs that were not those that the failed assertion names.

    Attributes:
        expected: The table expected.
        seen: The table seen.
        missing: What was expected and not seen, as in `master:lxc1 < request`.
        extra: What was seen and not expected.
        delivery: Whose legs were seen, in a sentence; empty: no delivery's that is known.
        side_by_side: Both tables, a line an interface.
    """

    expected: str
    seen: str
    missing: list[str]
    extra: list[str]
    delivery: str
    side_by_side: str


class Assertion(TestOutcome, frozen=True, kw_only=True):
    """What became of one test of an entry of the catalogue.

    Attributes:
        id: Entry of the catalogue.
        testbed: None: of no testbed in particular.
        datapath: None: of no datapath in particular.
        family: None: of no family in particular.
        degraded: Nodes that ran legacy although they were asked for more, and why.
        legs: Tables of the legs seen, one for each capture.
        observed: Behaviour that may differ between kernels on which the test passes, by name.
        claims: The claims that it rests on, which its datapath may decline.
        pod_devices: What joined pods to their nodes in the testbeds that it built.
        wrong_legs: The legs that made it fail; None: something else did, or nothing.
        pcaps: Directories of its captures that were kept, below that of the record.
    """

    id: Annotated[str, Meta(pattern=r"^HR-[0-9]{2}$")]
    testbed: str | None
    datapath: str | None
    family: Family | None
    degraded: list[str]
    legs: list[str]
    observed: dict[str, Observed]
    claims: list[str] = field(default_factory=list)
    pod_devices: list[PodDevice] = field(default_factory=list)
    wrong_legs: WrongLegs | None = None
    pcaps: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Its outcome; one that passed on a degraded node is degraded."""
        return DEGRADED if self.passed and self.degraded else self.outcome
