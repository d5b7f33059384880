# SPDX-License-Identifier: Apache-2.0
"""What a person sees when a test fails, and the legs with -v when it passes. Floor 8."""

from __future__ import annotations

import contextlib
import errno
import resource
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from harness import safe_write
from harness.errors import BuildError, HarnessError, reason
from harness.legs import LegTable
from harness.names import directory_of_test
from harness.plugin.fixtures import TESTBEDS_KEY
from harness.plugin.options import results_directory
from harness.printable import one_line
from harness.signals import interruptible
from harness.testbed import Testbed

_KEPT = pytest.StashKey[set[Path]]()
_NOT_KEPT = pytest.StashKey[list[str]]()


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Wrong legs: both tables side by side, with what is missing and what is extra."""
    seen, expected = (left, right) if isinstance(left, LegTable) else (right, left)
    if op != "==" or not isinstance(seen, LegTable) or not isinstance(expected, str | LegTable):
        return None
    return ["the legs seen are not the legs expected", *seen.explain(expected)]


def pytest_configure(config: pytest.Config) -> None:
    """Begin."""
    config.stash[_KEPT] = set()
    config.stash[_NOT_KEPT] = []


def _keep(testbed: Testbed, item: pytest.Item) -> list[Path]:
    """Copy a testbed's captures to pcaps/ where records go, and say where they are."""
    root = results_directory(item.config) / "pcaps"
    name = directory_of_test(item.nodeid, item.path)
    kept = []
    for seen in testbed.captures:
        target = root / name / seen.directory.parent.name / seen.directory.name
        with safe_write.emptied(target) as folder:  # an earlier run's files would mislead
            for pcap in sorted(seen.directory.glob("*.pcap")):
                safe_write.copy(pcap, folder)
                kept.append(target / pcap.name)
    if kept:
        item.config.stash[_KEPT].add(root)
    return kept


def _sections(testbed: Testbed, pcaps: list[Path]) -> Generator[tuple[str, str]]:
    yield "host routing", "\n".join(testbed.status())
    counters = [f"{entry.node.name}: {entry.installed.counters()}" for entry in testbed.datapaths]
    yield "datapath counters", "\n".join(counters)
    for seen in testbed.captures:
        if seen.complete:
            yield "legs seen", str(seen.legs())
            others = [str(frame) for frame in seen.frames if not seen.flows]
            if others:
                yield "frames", "\n".join(others[:40])
    if pcaps:
        yield "pcap files", "\n".join(one_line(str(path)) for path in pcaps)


def _how_to_enter(testbed: Testbed) -> str:
    import os

    lines = [
        f"  {host.name:<8} nsenter --net=/proc/{os.getpid()}/fd/{host.ns.fileno()}"
        for host in testbed.network.hosts
    ]
    return "\n".join(lines)


def _say_in_one_line(item: pytest.Item, report: pytest.TestReport, error: BaseException) -> None:
    """An error that a user can act on needs no traceback; a build's log follows it."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        error = HarnessError(
            f"too many open files (limit {limit})",
            "each host of a testbed takes one: `ulimit -n`",
        )
    if isinstance(error, HarnessError):
        log = f"\n{error.log[-4000:]}" if isinstance(error, BuildError) else ""
        report.longrepr = f"{item.location[0]}: {error}{log}"


def _add_testbed(item: pytest.Item, report: pytest.TestReport, testbed: Testbed) -> None:
    """Add what is known of one of the test's testbeds."""
    for entry in testbed.datapaths:
        if entry.degraded:
            report.user_properties.append(("degraded", entry.status()))
    pcaps: list[Path] = []
    if report.failed or item.config.getoption("--keep-pcaps"):
        try:
            pcaps = _keep(testbed, item)
        except OSError as error:
            report.sections.append(("pcap files", f"could not be kept: {reason(error)}"))
            item.config.stash[_NOT_KEPT].append(reason(error))
    if report.failed:
        report.sections += list(_sections(testbed, pcaps))
        if item.config.getoption("--pause"):
            print(f"\n{item.nodeid} failed; its testbed:\n{_how_to_enter(testbed)}")  # noqa: T201
            with contextlib.suppress(EOFError), interruptible():  # nobody is there to press it
                input("Enter to go on: ")
    for seen in testbed.captures:
        if seen.complete:
            report.user_properties.append(("legs", str(seen.legs())))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, None]:
    """Add counters, legs and pcaps to a failed test's report, and legs to a passed one's."""
    outcome = yield
    report = outcome.get_result()
    if report.failed and call.excinfo is not None:
        _say_in_one_line(item, report, call.excinfo.value)
    if report.when != "call":
        return
    for testbed in item.stash.get(TESTBEDS_KEY, []):
        _add_testbed(item, report, testbed)


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """With -v, print the legs a passed test saw."""
    if (
        report.when == "call"
        and report.passed
        and _terminal is not None
        and _terminal.verbosity > 0
    ):
        for key, value in report.user_properties:
            if key in ("legs", "degraded"):
                _terminal.ensure_newline()
                for line in str(value).splitlines():
                    _terminal.write_line(f"      {line}")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Where pcaps were kept, or why some were not."""
    refused = config.stash[_NOT_KEPT]
    if not config.stash[_KEPT] and not refused:
        return
    terminalreporter.section("host routing: pcap files")
    for root in config.stash[_KEPT]:
        terminalreporter.write_line(one_line(f"kept in {root}"))
    if refused:
        terminalreporter.write_line(
            one_line(
                f"those of {len(refused)} testbeds could not be kept, the first for: {refused[0]};"
                " name a directory that can be written: --results=DIR"
            )
        )


_terminal: Any = None


def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember the terminal."""
    global _terminal  # noqa: PLW0603 - pytest_runtest_logreport gets no config
    _terminal = session.config.pluginmanager.get_plugin("terminalreporter")
