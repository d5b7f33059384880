# SPDX-License-Identifier: Apache-2.0
"""What a person sees when a test fails, and the legs with -v when it passes."""

from __future__ import annotations

import contextlib
import errno
import resource
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from _pytest._code.code import ExceptionRepr

from harness.datapath import Reports
from harness.plugin import assertions, wrong_legs
from harness.plugin.building import TESTBEDS_KEY
from harness.plugin.options import option, results_directory
from harness.plumbing import safe_write
from harness.plumbing.errors import AgentError, BuildError, HarnessError, reason
from harness.plumbing.names import directory_of_test
from harness.plumbing.printable import lines, one_line
from harness.plumbing.signals import interruptible
from harness.results import units
from harness.testbed import Testbed
from harness.testbed.seen import Seen
from pytest_hostroute import is_ours

#: The property of a failed test's report that names the assertion.
ASSERTION = "assertion"
#: The property that says what joined pods to their nodes, one for each testbed of the test.
POD_DEVICE = "pod device"
#: The property that has a directory of captures that were kept, below where records go.
PCAPS = "pcaps"
#: Fixtures that any test of ours may have: its id says which, or a section what is in them.
_OWN_ARGUMENTS = ("datapath", "family", "build_testbed", "require_feature")
_KEPT = pytest.StashKey[set[Path]]()
_NOT_KEPT = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin."""
    config.stash[_KEPT] = set()
    config.stash[_NOT_KEPT] = []


def _keep(testbed: Testbed, item: pytest.Item) -> dict[Path, int]:
    """Copy a testbed's captures to pcaps/ where records go: directory → how many files."""
    root = results_directory(item.config) / "pcaps"
    name = directory_of_test(item.nodeid, item.path)
    kept = {}
    for seen in testbed.captures:
        target = root / name / seen.directory.parent.name / seen.directory.name
        with safe_write.emptied(target) as folder:  # an earlier run's files would mislead
            pcaps = sorted(seen.directory.glob("*.pcap"))
            for pcap in pcaps:
                safe_write.copy(pcap, folder)
        if pcaps:
            kept[target] = len(pcaps)
    if kept:
        item.config.stash[_KEPT].add(root)
    return kept


def _sections(
    testbed: Testbed, pcaps: dict[Path, int], told: str, here: Path
) -> Generator[tuple[str, str]]:
    """Heading and text of what is known of a testbed.

    Args:
        testbed: The testbed.
        pcaps: Directories of captures that were kept, and how many files each has.
        told: The table of legs that the failure shows.
        here: Where pytest was started.
    """
    yield "host routing", "\n".join(testbed.status())
    counters = [f"{entry.node.name}: {entry.installed.counters()}" for entry in testbed.datapaths]
    yield "datapath counters", "\n".join(counters)
    reports: dict[str, str] = {}
    for entry in testbed.datapaths:
        if isinstance(entry.installed, Reports):
            reports |= entry.installed.report()
    yield from ((title, "\n".join(lines(text))) for title, text in reports.items())
    complete = [seen for seen in testbed.captures if seen.complete]
    tables = [f"{_name(seen)}\n{seen.legs()}" for seen in complete if str(seen.legs()) != told]
    if tables:
        yield "legs seen", "\n".join(tables)
    for seen in complete:
        others = [str(frame) for frame in seen.frames if not seen.flows]
        if others:
            yield f"frames of {_name(seen)}", "\n".join(others[:40])
    if pcaps:
        yield (
            "pcap files",
            "\n".join(
                one_line(f"{_from_here(path, here)}: {units.count(number, 'file')}")
                for path, number in pcaps.items()
            ),
        )


def _from_here(path: Path, here: Path) -> Path:
    return path.relative_to(here) if path.is_relative_to(here) else path


def _name(seen: Seen) -> str:
    return seen.directory.name


def _how_to_enter(testbed: Testbed) -> str:
    import os

    lines = [
        f"  {host.name:<8} nsenter --net=/proc/{os.getpid()}/fd/{host.ns.fileno()}"
        for host in testbed.network.hosts
    ]
    return "\n".join(lines)


def _name_assertion(item: pytest.Item, report: pytest.TestReport, error: BaseException) -> None:
    """Put the name of the assertion that failed where programs find it."""
    assertion = assertions.failed(error)
    if assertion is not None and assertion.name:
        # The item's go into the report of the teardown, from which junit.xml takes them.
        for properties in (report.user_properties, item.user_properties):
            properties.append((ASSERTION, assertion.name))


def _without_own_arguments(report: pytest.TestReport) -> None:
    """Leave out of a traceback the arguments that are objects of ours: their text says nothing."""
    traceback = getattr(report.longrepr, "reprtraceback", None)
    for entry in getattr(traceback, "reprentries", ()):
        arguments = getattr(entry, "reprfuncargs", None)
        if arguments is not None:
            arguments.args = [
                (name, text)
                for name, text in arguments.args
                if name not in _OWN_ARGUMENTS
                and not name.startswith("hr_")
                and not str(text).startswith(("<harness.", "<testbeds."))
            ]


def _say_in_one_line(item: pytest.Item, report: pytest.TestReport, error: BaseException) -> None:
    """An error that a user can act on needs no traceback; a build's log follows it."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        error = HarnessError(
            f"too many open files (limit {limit})",
            "each host of a testbed takes one: `ulimit -n`",
        )
    if isinstance(error, HarnessError):
        told = error.log if isinstance(error, BuildError | AgentError) else ""
        log = "\n" + "\n".join(lines(told[-4000:])) if told else ""
        report.longrepr = f"{item.location[0]}: {error}{log}"


def _add_testbed(item: pytest.Item, report: pytest.TestReport, testbed: Testbed, told: str) -> None:
    """Add what is known of one of the test's testbeds; `told`: the legs that the failure shows."""
    report.user_properties.append((POD_DEVICE, testbed.topology.pod_device))
    for entry in testbed.datapaths:
        if entry.degraded:
            report.user_properties.append(("degraded", entry.status()))
    pcaps: dict[Path, int] = {}
    if report.failed or option(item.config, "keep-pcaps"):
        try:
            pcaps = _keep(testbed, item)
        except OSError as error:
            report.sections.append(("pcap files", f"could not be kept: {reason(error)}"))
            item.config.stash[_NOT_KEPT].append(reason(error))
    root = results_directory(item.config)
    for path in pcaps:
        report.user_properties.append((PCAPS, str(path.relative_to(root))))
    if report.failed:
        report.sections += list(_sections(testbed, pcaps, told, item.config.invocation_params.dir))
        if option(item.config, "pause"):
            print(f"\n{item.nodeid} failed; its testbed:\n{_how_to_enter(testbed)}")  # noqa: T201
            with contextlib.suppress(EOFError), interruptible():  # nobody is there to press it
                input("Enter to go on: ")
    for seen in testbed.captures:
        if seen.complete:
            report.user_properties.append(("legs", str(seen.legs())))


def _add_legs(item: pytest.Item, report: pytest.TestReport, call: pytest.CallInfo[None]) -> str:
    """Put the legs that a test failed for first; the table that was seen, if there is one."""
    legs = wrong_legs.of_failure(item.config, call.excinfo) if call.excinfo is not None else None
    if legs is None:
        return ""
    title, text = wrong_legs.section(legs)
    if isinstance(report.longrepr, ExceptionRepr):
        report.longrepr.addsection(title, text)  # so junit.xml has it too
    else:
        report.sections.insert(0, (title, text))
    report.user_properties.append((wrong_legs.WRONG_LEGS, legs))
    return legs.seen


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, None]:
    """Add counters, legs and pcaps to a failed test's report, and legs to a passed one's."""
    if call.when == "setup":  # a test that is run again has not failed yet
        item.user_properties[:] = [entry for entry in item.user_properties if entry[0] != ASSERTION]
    outcome = yield
    report = outcome.get_result()
    if report.failed and call.excinfo is not None and is_ours(item):
        _name_assertion(item, report, call.excinfo.value)
        _say_in_one_line(item, report, call.excinfo.value)
        _without_own_arguments(report)
    if report.when != "call":
        return
    told = _add_legs(item, report, call) if report.failed else ""
    for testbed in item.stash.get(TESTBEDS_KEY, []):
        _add_testbed(item, report, testbed, told)


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
                " name a directory that can be written: --hr-results=DIR"
            )
        )


_terminal: Any = None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Remember the terminal: a run may turn out to be ours only while it collects."""
    global _terminal  # noqa: PLW0603 - pytest_runtest_logreport gets no config
    _terminal = session.config.pluginmanager.get_plugin("terminalreporter")
