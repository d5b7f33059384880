# SPDX-License-Identifier: Apache-2.0
"""One record for each run: what was measured, and what became of every assertion.

What measures adds its parts to `draft(config)`, or leaves that to the run's end (`at_the_end`).
This file adds the outcomes, and writes it when the run ends, however it ends.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from harness import results
from harness.plugin.implementations import implementations
from harness.plugin.options import check_results, option, results_directory
from harness.plugin.outcomes import outcomes
from harness.plumbing.errors import HarnessError
from harness.plumbing.printable import one_line
from harness.plumbing.signals import held
from harness.results import ACCELERATOR_VARIABLE, Draft, Observed
from harness.topology import Family
from pytest_hostroute import activate, is_ours

Observe = Callable[[str, Observed], None]
#: Adds to the record of a run: see `at_the_end`.
Fill = Callable[[Callable[[], Draft]], None]


class _Recorder:
    """A run's record while it grows; a plugin of its own, so that each run has its own."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.started = datetime.now(UTC)
        self.begun: Draft | None = None
        self.finished: set[str] = set()
        self._outcomes = outcomes(config)
        self.written = False
        self.interruption = ""
        self.line = ""

    def draft(self) -> Draft:
        """The record; machine and checkout as they are when it is first asked for."""
        if self.begun is None:
            command = ["pytest", *map(str, self.config.invocation_params.args)]
            self.begun = results.begin(self.config.rootpath, command)
            self.begun.started = self.started.isoformat(timespec="seconds")
        return self.begun

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Look at the checkout before the first test, where there is going to be a record."""
        marks = ("bench", "compares", "grows")
        measures = any(item.get_closest_marker(mark) for item in session.items for mark in marks)
        if measures and not self.config.getoption("collectonly"):
            try:
                check_results(self.config)
            except HarnessError as error:
                pytest.exit(f"hostroute: {error}", returncode=error.exit_code)
        if measures or option(self.config, "record"):
            self.draft()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put the family into every report, as the datapath is."""
        for item in filter(is_ours, items):
            parameters = getattr(item, "callspec", None)
            family = parameters.params.get("family") if parameters else None
            if isinstance(family, Family):
                item.user_properties.append(("family", family.name))

    @pytest.hookimpl(tryfirst=True)  # another plugin may raise
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note which tests came to their end."""
        if report.when == "teardown":
            self.finished.add(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Remember why the run is broken off: Ctrl-C, SIGTERM, or what `pytest.exit` was told."""
        self.interruption = str(excinfo.value) or "interrupted by Ctrl-C"

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self) -> Generator[None, None, None]:
        """Write the record: the fixtures are gone by now, and have added what they had.

        pytest itself takes down the session's fixtures in this hook, and says its summary around
        it: so this is within the summary, and around all else, whatever of that raises.
        """
        try:
            return (yield)
        finally:
            self._finish()

    def _finish(self) -> None:
        """Write the record unless it is written."""
        # A run may turn out to be ours when its session has long begun.
        session = self.config.pluginmanager.get_plugin("session")
        done, self.written = self.written, True
        if session is not None and not done and not self.config.getoption("collectonly"):
            # The run ends with this: a signal now has nothing left to end.
            with suppress(KeyboardInterrupt), held():
                self._write(session)

    def _write(self, session: pytest.Session) -> None:
        for fill in self.config.stash.get(_AT_THE_END, []):
            fill(self.draft)
        asked, cut, found = option(self.config, "record"), self._cut(session), self._outcomes
        # From a guest nothing else comes home: there the other tests alone are worth a record.
        tests = found.tests if ACCELERATOR_VARIABLE in os.environ else found.assertions
        measured = self.begun is not None and self.begun.measured
        if asked and not (measured or tests or cut):
            self.line = "none: no test of this run asserts an entry of the catalogue (test_hrNN_…)"
        if not measured and not (asked and (tests or cut)):
            return
        draft = self.draft()
        draft.partial = "; ".join(filter(None, (draft.partial, cut))) or None
        draft.conformance, draft.others = found.assertions, found.others
        draft.datapaths = implementations(self.config, _datapaths(draft))
        try:
            path = results.write(results_directory(self.config), draft.ended())
        except HarnessError as error:
            self.line = f"hostroute: {error}"
            session.exitstatus = session.exitstatus or error.exit_code
        else:
            self.line = f"record: {path}"

    def _cut(self, session: pytest.Session) -> str:
        """Why not every test of the run came to its end; empty: each did."""
        left = sum(item.nodeid not in self.finished for item in session.items)
        if not left:
            return ""
        why = self.interruption or session.shouldfail or session.shouldstop or "broken off"
        return f"{why}: {left} of {len(session.items)} tests were not run to their end"

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where the record is, or why it is not where it should be."""
        if self.line:
            terminalreporter.section("host routing: record")
            terminalreporter.write_line(one_line(self.line))
            self.line = ""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_unconfigure(self) -> Generator[None, None, None]:
        """The same for a run without a summary; one whose end another plugin took has its record.

        There is no summary where the exit code is not pytest's, or another plugin raised.
        """
        self._finish()
        if self.line:
            print(one_line(self.line), file=sys.stderr)  # noqa: T201
            self.line = ""
        return (yield)


def _datapaths(draft: Draft) -> Iterator[str]:
    """Names of the datapaths of a run, in the order in which it came to them; some twice."""
    yield from (test.datapath for test in draft.conformance if test.datapath)
    for compared in draft.comparisons:
        yield from (arm.datapath for arm in compared.arms.values() if arm.datapath)


_AT_THE_END = pytest.StashKey[list[Fill]]()
_RECORDER = pytest.StashKey[_Recorder]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin."""
    config.stash[_RECORDER] = _Recorder(config)
    config.pluginmanager.register(config.stash[_RECORDER])


def draft(config: pytest.Config) -> Draft:
    """The record of this run, for what measures to add its parts to.

    Its lists `comparisons`, `summary`, `growth` and `exact`, its `seed`, and `partial`: why what
    was measured is not whole. A run that has put something into one of the lists is recorded.
    """
    activate(config)  # a conftest.py may ask before any test of ours does
    return config.stash[_RECORDER].draft()


def at_the_end(config: pytest.Config, fill: Fill) -> None:
    """Have the record filled when it is written: `fill` is given a function that returns it.

    Not a hook: it would not be asked where another plugin's raises before it. The record is made
    when that function is first called: a `fill` that has nothing does not call it.
    """
    config.stash.setdefault(_AT_THE_END, []).append(fill)


def observer(node: pytest.Item) -> Observe:
    """A function that notes for the record what the kernel did: `hr_observed("mark", 0x77)`."""

    def note(name: str, value: Observed) -> None:
        if not isinstance(value, Observed):
            raise TypeError(
                f"hr_observed({name!r}): {value!r} is not text, a number, a boolean or None"
            )
        node.user_properties.append(("observed", (name, value)))

    return note
