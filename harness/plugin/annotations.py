# SPDX-License-Identifier: Apache-2.0
"""In a GitHub workflow, each failed test as an `::error` annotation beside its line.

Workflow commands are lines of the output that the runner reads (GitHub's documentation, "Workflow
commands"). It shows ten of a kind for each step.
"""

from __future__ import annotations

import os
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


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print them where somebody reads them."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    failed = [
        report
        for kind in ("failed", "error")
        for report in terminalreporter.stats.get(kind, [])
        if isinstance(report, pytest.TestReport)
    ]
    for line in _annotations(config, failed):
        terminalreporter.ensure_newline()
        terminalreporter.write_line(line)
