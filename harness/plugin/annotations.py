# SPDX-License-Identifier: Apache-2.0
"""In a GitHub workflow, each failed test as an `::error` annotation beside its line.

Workflow commands are lines of the output that the runner reads (GitHub's documentation, "Workflow
commands"). It shows ten of a kind for each step. Whatever a test prints, and the message of its
failure, of which pytest prints every line where CI is set, may hold such a line: so the runner
reads none but these (`stop-commands`, until a word that nobody can guess).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import pytest

from harness.plugin.outcomes import outcomes
from harness.plugin.wrong_legs import WRONG_LEGS
from harness.plumbing.printable import lines, one_line
from harness.results.assertion import WrongLegs

_MOST = 10
_ESCAPED = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_IN_PROPERTIES = {**_ESCAPED, ":": "%3A", ",": "%2C"}


def _escape(text: str, table: dict[str, str]) -> str:
    return "".join(table.get(character, character) for character in text)


def annotation(path: str, line: int, title: str, text: list[str]) -> str:
    """The workflow command; nothing in it can end its line and begin another command.

    Args:
        path: Of the file, from the repository's root.
        line: In it, from 1.
        title: The test.
        text: What failed, in lines.
    """
    properties = {"file": path, "line": str(line), "title": title}
    joined = ",".join(f"{k}={_escape(one_line(v), _IN_PROPERTIES)}" for k, v in properties.items())
    message = "\n".join(one_line(each) for each in text)
    return f"::error {joined}::{_escape(message, _ESCAPED)}"


def _annotations(config: pytest.Config, reports: list[pytest.TestReport]) -> Iterator[str]:
    for report in reports[:_MOST]:
        path, line, name = report.location
        found = outcomes(config).tests.get(report.nodeid)
        text = [found.reason if found is not None else "failed"]
        legs = dict(report.user_properties).get(WRONG_LEGS)
        if isinstance(legs, WrongLegs):
            text += [*lines(legs.side_by_side), legs.delivery]
        yield annotation(path, (line or 0) + 1, name, [each for each in text if each])


def _command(reporter: pytest.TerminalReporter, line: str) -> None:
    reporter.ensure_newline()
    reporter.write_line(line)


class _Stopped:
    """The runner reads no command of this run except those of `print`."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self._reporter = reporter
        self._stop()

    def _stop(self) -> None:
        self._word = secrets.token_hex(16)
        _command(self._reporter, f"::stop-commands::{self._word}")

    def resume(self) -> None:
        _command(self._reporter, f"::{self._word}::")

    def print(self, commands: Iterator[str]) -> None:
        self.resume()
        for command in commands:
            _command(self._reporter, command)
        self._stop()  # with another word: the short summary still comes


_STOPPED = pytest.StashKey[_Stopped]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Have the runner read no commands from now on, where there is one."""
    _stop(session.config)


def pytest_collection_finish(session: pytest.Session) -> None:
    """The same in a run that turned out to be ours when its tests were collected."""
    _stop(session.config)


def _stop(config: pytest.Config) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("GITHUB_ACTIONS") != "true" or reporter is None:
        return
    if _STOPPED not in config.stash:
        config.stash[_STOPPED] = stopped = _Stopped(reporter)
        config.add_cleanup(stopped.resume)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print them where somebody reads them."""
    stopped = config.stash.get(_STOPPED, None)
    if stopped is None:
        return
    failed = [
        report
        for kind in ("failed", "error")
        for report in terminalreporter.stats.get(kind, [])
        if isinstance(report, pytest.TestReport)
    ]
    stopped.print(_annotations(config, failed))
