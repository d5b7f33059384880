# SPDX-License-Identifier: Apache-2.0
"""One record for each run: what was measured, and what became of every assertion. Floor 8.

What measures adds its parts to `document(config)`, or leaves that to the run's end (`at_the_end`);
this file adds the assertions, and writes it when the run ends, however it ends.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness import record
from harness.errors import HarnessError
from harness.plugin.options import check_results, results_directory
from harness.printable import one_line
from harness.record import Document
from harness.signals import held
from testbeds import TESTBEDS

#: What a test may say it observed.
Value = str | int | float | bool | None
Observe = Callable[[str, Value], None]

_MEASURED = ("comparisons", "growth", "exact")


class _Recorder:
    """A run's record while it grows; a plugin of its own, so that each run has its own."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.started = datetime.now(UTC)
        self.begun: Document | None = None
        self.assertions: dict[str, Document] = {}
        self.finished: set[str] = set()
        self.session: pytest.Session | None = None  # until the record is written
        self.interruption = ""
        self.line = ""

    def document(self) -> Document:
        """The record; machine and checkout as they are when it is first asked for."""
        if self.begun is None:
            command = ["pytest", *map(str, self.config.invocation_params.args)]
            self.begun = record.begin(self.config.rootpath, command)
            self.begun["started"] = self.started.isoformat(timespec="seconds")
        return self.begun

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Remember the session: there may be no other hook that is told of it."""
        self.session = session

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Look at the checkout before the first test, where there is going to be a record."""
        marks = ("bench", "compares", "grows")
        measures = any(item.get_closest_marker(mark) for item in session.items for mark in marks)
        if measures and not self.config.getoption("collectonly"):
            try:
                check_results(self.config)
            except HarnessError as error:
                pytest.exit(f"hostroute: {error}", returncode=error.exit_code)
        if measures or self.config.getoption("--record"):
            self.document()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put the family into every report, as the datapath is."""
        for item in items:
            parameters = getattr(item, "callspec", None)
            family = parameters.params.get("family") if parameters else None
            if family is not None:
                item.user_properties.append(("family", family.name))

    @pytest.hookimpl(tryfirst=True)  # another plugin may raise
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect what became of every assertion of the catalogue."""
        if report.when == "teardown":
            self.finished.add(report.nodeid)
        entry = assertion(report) if report.when == "call" or not report.passed else None
        known = self.assertions.get(report.nodeid, {})
        if entry is not None and known.get("outcome") != "failed":
            self.assertions[report.nodeid] = entry

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
        session, self.session = self.session, None
        if session is not None and not self.config.getoption("collectonly"):
            # The run ends with this: a signal now has nothing left to end.
            with suppress(KeyboardInterrupt), held():
                self._write(session)

    def _write(self, session: pytest.Session) -> None:
        for parts in self.config.stash.get(_AT_THE_END, []):
            if found := parts():
                self.document().update(found)
        asked, cut = self.config.getoption("--record"), self._cut(session)
        measured = self.begun is not None and any(self.begun[part] for part in _MEASURED)
        if asked and not measured and not self.assertions and not cut:
            self.line = "none: no test of this run asserts an entry of the catalogue (test_hrNN_…)"
        if not measured and not (asked and (self.assertions or cut)):
            return
        whole = self.document()
        whole["partial"] = "; ".join(filter(None, (whole["partial"], cut))) or None
        whole["conformance"] = list(self.assertions.values())
        try:
            path = record.write(results_directory(self.config), whole)
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


_AT_THE_END = pytest.StashKey[list[Callable[[], Mapping[str, Any]]]]()
_RECORDER = pytest.StashKey[_Recorder]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin."""
    config.stash[_RECORDER] = _Recorder(config)
    config.pluginmanager.register(config.stash[_RECORDER])


def document(config: pytest.Config) -> Document:
    """The record of this run, for what measures to add its parts to.

    Its lists `comparisons`, `summary`, `growth` and `exact`, its `seed`, and `partial`: why what
    was measured is not whole. A run that has put something into one of the lists is recorded.
    """
    return config.stash[_RECORDER].document()


def at_the_end(config: pytest.Config, parts: Callable[[], Mapping[str, Any]]) -> None:
    """Have the record ask for parts when it is written, as `document` has them; none: empty.

    Not a hook: it would not be asked where another plugin's raises before it.
    """
    config.stash.setdefault(_AT_THE_END, []).append(parts)


@pytest.fixture
def observed(request: pytest.FixtureRequest) -> Observe:
    """A function that notes what the kernel did: `observed("mark", 0x77)`.

    For behaviour that may differ between kernels on which the test passes all the same. It goes
    into the record beside the outcome.
    """

    def note(name: str, value: Value) -> None:
        if not isinstance(value, Value):
            raise TypeError(f"observed({name!r}): {value!r} is no text, number, boolean or None")
        request.node.user_properties.append(("observed", (name, value)))

    return note


def assertion(report: pytest.TestReport) -> Document | None:
    """An entry of the record's `conformance`; None: the test asserts no entry of the catalogue."""
    single = dict(report.user_properties)
    if "hr" not in single or "control" in single:
        return None

    def every(name: str) -> list[Any]:
        return [value for key, value in report.user_properties if key == name]

    outcome = report.outcome
    return {
        "id": single["hr"],
        "test": report.nodeid,
        "testbed": next((part for part in Path(report.nodeid).parts if part in TESTBEDS), None),
        "datapath": single.get("datapath"),
        "family": single.get("family"),
        "outcome": "error" if report.when != "call" and outcome == "failed" else outcome,
        "reason": "" if outcome == "passed" else _reason(report),
        "degraded": [str(value) for value in every("degraded")],
        "legs": [str(value) for value in every("legs")],
        "observed": dict(every("observed")),
    }


def _reason(report: pytest.TestReport) -> str:
    """Why it was skipped, or what failed, in one line."""
    longrepr = report.longrepr
    if isinstance(longrepr, tuple):  # file, line, reason of a skip
        text = longrepr[2].removeprefix("Skipped: ")
    else:
        crash = getattr(longrepr, "reprcrash", None)
        text = crash.message if crash is not None else str(longrepr or "")
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
