# SPDX-License-Identifier: Apache-2.0
"""A conformance report that one can hand in: an implementation, the core, and each claim.

As the conformance reports of Kubernetes' Gateway API: what an implementation is, what it must do,
and what of the rest it claims, with the tests that say so. YAML or JSON; KTAP for kernel CI
(Documentation/dev-tools/ktap.rst).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from harness.datapath.catalogue import CATALOGUE
from harness.datapath.claims import CLAIMS, NONE, Claim
from harness.plumbing.errors import RecordError
from harness.plumbing.printable import one_line
from harness.results import Assertion, Implementation, Run
from harness.results.assertion import NOT_CLAIMED, SKIPPED

FORMAT, VERSION = "hostroute-conformance-report", 1
#: A group's verdict: not one failed and some passed; some failed; not one ran.
Result = Literal["passed", "failed", "not run"]


class Group(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Tests that stand or fall together.

    Attributes:
        result: `passed`, `failed`, or `not run`.
        passed: How many passed.
        failed: How many failed, or could not start.
        skipped: How many were skipped, as where a kernel lacks a feature.
        unclaimed: How many were not claimed, as for one family only.
        failures: Each that failed: entry of the catalogue, test and reason.
    """

    result: Result
    passed: int
    failed: int
    skipped: int
    unclaimed: int = 0
    failures: list[str] = []


class ClaimGroup(msgspec.Struct, kw_only=True):
    """A claim, and the tests that rest on it.

    Attributes:
        value: What is claimed.
        meaning: What that says.
        tests: What became of them.
    """

    value: str
    meaning: str
    tests: Group


class Kernel(msgspec.Struct, kw_only=True):
    """The kernel of the run.

    Attributes:
        release: As `uname -r` has it.
        version: As `uname -v` has it.
        architecture: As `uname -m` has it.
    """

    release: str
    version: str
    architecture: str


class ConformanceReport(
    msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="format", tag=FORMAT
):  # fmt: skip
    """The report.

    Attributes:
        version: Of the format.
        implementation: The datapath.
        kernel: Where it was judged.
        hostroute: Version of the harness.
        record: Id of the record.
        date: When the run ended.
        partial: Why the run did not come to its end.
        core: What no datapath that bypasses the stack may decline.
        beyond: What every datapath is asked beside the core.
        claims: Claim → the tests that rest on it. One that a test shares stands in each.
        values: Claims that no test rests on alone: they decide what is expected.
        claimed: What is claimed and might be declined; of a claim by family, for which.
        unclaimed: What is declined.
    """

    version: int
    implementation: Implementation
    kernel: Kernel
    hostroute: str
    record: str
    date: str
    partial: str | None = None
    core: Group
    beyond: Group
    claims: dict[str, ClaimGroup]
    values: dict[str, str]
    claimed: list[str]
    unclaimed: list[str]


def report(run: Run, name: str | None = None) -> ConformanceReport:
    """The report of one datapath of a run.

    Args:
        run: The record.
        name: The datapath's; None: the only one that was asserted something of.

    Raises:
        RecordError: The record has no such datapath, several, or says nothing of datapaths.
    """
    judged = {test.datapath for test in run.conformance}
    known = {each.name: each for each in run.datapaths if each.name in judged}
    if name is None and len(known) == 1:
        name = next(iter(known))
    if name not in known:
        found = f"it has {', '.join(known) or 'none'}"
        asked = f"no conformance of {name}" if name else "several datapaths, or none"
        todo = "name one with --datapath" if known else "record a run with `--record`"
        raise RecordError(f"{run.id}: {asked}; {found}", todo)
    implementation = known[name]
    tests = [test for test in run.conformance if test.datapath in (name, None)]
    resting = [test for test in tests if test.claims]
    free = [test for test in tests if not test.claims]
    declinable = [claim for claim in CLAIMS.values() if claim.declinable]
    return ConformanceReport(
        version=VERSION,
        implementation=implementation,
        kernel=Kernel(
            release=run.machine.kernel, version=run.machine.kernel_version,
            architecture=run.machine.architecture,
        ),
        hostroute=run.harness, record=run.id, date=run.ended, partial=run.partial,
        core=_group(test for test in free if _is_core(test)),
        beyond=_group(test for test in free if not _is_core(test)),
        claims={
            claim.name: ClaimGroup(
                value=implementation.claims.get(claim.name, ""), meaning=claim.meaning,
                tests=_group(test for test in resting if claim.name in test.claims),
            )
            for claim in declinable
            if any(claim.name in test.claims for test in resting)
        },
        values={
            key: value
            for key, value in implementation.claims.items()
            if key not in {claim.name for claim in declinable}
        },
        claimed=[line for claim in declinable for line in _claimed(claim, implementation)],
        unclaimed=implementation.unclaimed,
    )  # fmt: skip


def _claimed(claim: Claim, implementation: Implementation) -> Iterator[str]:
    """A claim that is made, as `too_big = ipv4` or as its name alone."""
    value = implementation.claims.get(claim.name, "")
    declined = {line.partition(" = ")[0] for line in implementation.unclaimed}
    if claim.by_family and value not in ("", NONE):
        yield f"{claim.name} = {value}"
    elif not claim.by_family and claim.name not in declined:
        yield claim.name


def _is_core(test: Assertion) -> bool:
    entry = CATALOGUE.get(test.id)
    return entry is not None and entry.core


def _group(tests: Iterable[Assertion]) -> Group:
    found = list(tests)
    failed = [test for test in found if test.failed]
    passed = sum(test.passed and not test.degraded for test in found)
    return Group(
        result="failed" if failed else "passed" if passed else "not run",
        passed=passed,
        failed=len(failed),
        skipped=sum(test.outcome == SKIPPED for test in found),
        unclaimed=sum(test.outcome == NOT_CLAIMED for test in found),
        failures=[one_line(f"{test.id} {test.test}: {test.reason}") for test in failed],
    )


def as_yaml(found: Sequence[ConformanceReport]) -> str:
    """YAML, a document for each."""
    return "---\n".join(msgspec.yaml.encode(each).decode() for each in found)


def as_json(found: Sequence[ConformanceReport]) -> str:
    """JSON: one object, or a list of several."""
    content = found[0] if len(found) == 1 else list(found)
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n"


def as_ktap(run: Run, name: str | None = None) -> str:
    """The tests of a run, or of one datapath, as KTAP: a subtest for each entry of the catalogue.

    Args:
        run: The record.
        name: The datapath's; None: all of them.
    """
    tests = [test for test in run.conformance if name in (None, test.datapath)]
    by_entry: dict[str, list[Assertion]] = {}
    for test in tests:
        by_entry.setdefault(test.id, []).append(test)
    lines = ["KTAP version 1", f"1..{len(by_entry)}"]
    for number, (identity, entries) in enumerate(sorted(by_entry.items()), start=1):
        lines += ["  KTAP version 1", f"  1..{len(entries)}"]
        lines += [f"  {line}" for line in _results(entries)]
        word = "not ok" if any(test.failed for test in entries) else "ok"
        ran = any(test.passed or test.failed for test in entries)
        lines.append(f"{word} {number} {identity}{'' if ran else ' # SKIP no test ran'}")
    return "\n".join(lines) + "\n"


def _results(tests: Sequence[Assertion]) -> Iterator[str]:
    for number, test in enumerate(tests, start=1):
        # A description ends at a `#`, which begins a directive.
        title = one_line(test.test).replace("#", " ")
        if test.failed:
            yield f"# {one_line(test.reason)}"
            yield f"not ok {number} {title}"
        elif test.passed:
            yield f"ok {number} {title}"
        else:
            yield f"ok {number} {title} # SKIP {one_line(test.reason or test.outcome)}"
