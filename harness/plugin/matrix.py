# SPDX-License-Identifier: Apache-2.0
"""The catalogue as a matrix at the end of a run: assertion by datapath."""

from __future__ import annotations

import textwrap
from collections import defaultdict

import pytest

from harness import datapath as datapaths
from harness.datapath.catalogue import CATALOGUE, Entry

_WORDS = {"passed": "ok", "failed": "FAILED", "skipped": "skipped", "error": "ERROR"}


class _Matrix:
    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))

    def add(self, report: pytest.TestReport) -> None:
        properties = dict(report.user_properties)
        identity = properties.get("hr")
        if identity is None or "control" in properties:
            return
        outcome = report.outcome if report.when == "call" else "error"
        if report.when == "setup" and report.skipped:
            outcome = "skipped"
        if report.when == "call" or report.failed or report.skipped:
            self.outcomes[str(identity), str(properties.get("datapath", "-"))][outcome] += 1

    def cell(self, identity: str, datapath: str) -> str:
        found = self.outcomes.get((identity, datapath), {})
        return " ".join(f"{count} {_WORDS[outcome]}" for outcome, count in sorted(found.items()))


_matrix = _Matrix()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect."""
    _matrix.add(report)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a row for every entry of the catalogue, also for those that did not run.

    Of an id that the catalogue lacks, as of a mistyped one, a row stands at the end.
    """
    if not _matrix.outcomes:
        return
    write = terminalreporter.write_line
    terminalreporter.section("host routing: assertion by datapath")
    columns = [*datapaths.DATAPATHS, "-"]
    titles = {**{name: name for name in columns}, "-": "any"}
    write(f"{'':<64}" + "".join(f"{titles[name]:<14}" for name in columns))
    others: dict[str, list[str]] = defaultdict(list)
    unknown = sorted({identity for identity, _ in _matrix.outcomes} - CATALOGUE.keys())
    entries = {**CATALOGUE, **{identity: Entry("not in the catalogue") for identity in unknown}}
    for identity, entry in entries.items():
        cells = [_matrix.cell(identity, name) for name in columns]
        if any(cells):
            row = "".join(f"{cell or '.':<14}" for cell in cells)
            write(f"{identity}  {entry.title:<57}{row}".rstrip())
        else:
            others[entry.later or "not selected in this run"].append(identity)
    for reason, identities in others.items():
        text = textwrap.fill(f"{reason}: {', '.join(identities)}", 100, subsequent_indent="  ")
        for line in text.splitlines():
            write(line)
