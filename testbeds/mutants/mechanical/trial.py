# SPDX-License-Identifier: Apache-2.0
"""What a fork does with a mutant: build it, then run tests until one fails."""

from __future__ import annotations

import resource
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from harness.datapath.bpf import InstalledBpf
from harness.plumbing.errors import BuildError
from testbeds.mutants.mechanical import coverage, programs
from testbeds.mutants.mechanical.memory import CAUGHT, NO_PROGRAM, SAME, SURVIVED
from testbeds.mutants.mechanical.site import Site
from testbeds.mutants.mechanical.sites import conditional

#: Datapaths whose programs are changed. One kind of attachment is enough: hooks are not in C.
DATAPATHS = ("bpf", "bpf-redirect", "bpf-skip-fib")


class Reports:
    """A plugin that keeps what tests reported."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.seconds = 0.0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A part of a test has ended."""
        self.seconds += report.duration
        if report.failed:
            self.failed.append(_named(report))


def _named(report: pytest.TestReport) -> str:
    """The test, and the assertion or the error that ended it."""
    crash = getattr(report.longrepr, "reprcrash", None)
    said = str(crash.message).partition("\n")[0][:80] if crash is not None else report.when
    return f"{report.nodeid} - {said}"


def run(items: Sequence[pytest.Item], reports: Reports) -> str | None:
    """Run tests until one fails; returns that one, or None."""
    for item, after in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
        if reports.failed:
            return reports.failed[0]
    return None


def attempt(
    site: Site,
    wanted: Mapping[str, Sequence[pytest.Item]],
    exact: Mapping[str, str],
    reports: Reports,
) -> dict[str, Any]:
    """Run tests on a mutant; says what became of it, and what that cost in CPU seconds.

    Args:
        site: Where and how.
        wanted: Datapath → its tests, in the order in which they are to run.
        exact: Datapath → digest of its programs without the change.
        reports: Has what tests report.
    """
    began = _spent()
    found = _attempt(site, wanted, exact, reports)
    return found | {"seconds": round(_spent() - began, 1)}


def _spent() -> float:
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, whose))


def _attempt(
    site: Site,
    wanted: Mapping[str, Sequence[pytest.Item]],
    exact: Mapping[str, str],
    reports: Reports,
) -> dict[str, Any]:
    text = coverage.read(site.file)
    programs.change((site.patch(text),))
    everywhere = not conditional(text, site.start)
    differs = False
    for name, items in wanted.items():
        if differs and not items:
            continue
        try:
            if programs.digest(name) == exact[name]:
                if everywhere:
                    break  # so it is in the other datapaths' programs
                continue
        except BuildError:
            return {"outcome": NO_PROGRAM}
        differs = True
        failed = run(items, reports)
        if failed is not None:
            return {"outcome": CAUGHT, "by": failed}
    return {"outcome": SURVIVED if differs else SAME}


def covered(items: Sequence[pytest.Item], reports: Reports) -> dict[str, Any]:
    """Test → keys of the places that it executes."""
    programs.change(coverage.instrumented())
    found: set[int] = set()
    remove = InstalledBpf.remove

    def noting(installed: InstalledBpf) -> None:
        found.update(coverage.taken(installed.module))
        remove(installed)

    setattr(InstalledBpf, "remove", noting)  # noqa: B010 - mypy refuses the plain way
    answer: dict[str, Any] = {}
    for item, after in zip(items, [*items[1:], None], strict=True):
        found.clear()
        reports.seconds = 0.0
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
        answer[item.nodeid] = {"keys": sorted(found), "seconds": round(reports.seconds, 3)}
    return {"tests": answer, "failed": reports.failed}
