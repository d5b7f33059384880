# SPDX-License-Identifier: Apache-2.0
"""The catalogue as a table at the end of a run: assertion by datapath."""

from __future__ import annotations

import textwrap

import pytest

from harness.datapath import DATAPATHS
from harness.datapath.catalogue import CATALOGUE
from harness.plugin.outcomes import outcomes
from harness.plumbing.printable import aligned
from harness.results.tally import by_datapath


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print a row for every entry of the catalogue, also for those that did not run.

    Of an id that the catalogue lacks, as of a mistyped one, a row stands at the end.
    """
    found = by_datapath(outcomes(config).assertions, CATALOGUE, DATAPATHS)
    if not found.rows:
        return
    terminalreporter.section("host routing: assertion by datapath")
    titles = dict.fromkeys(found.rows, "not in the catalogue")
    titles |= {identity: entry.title for identity, entry in CATALOGUE.items()}
    for line in aligned(found.lines(titles)):
        terminalreporter.write_line(line)
    unselected = sum(not entry.later and identity not in found.rows
                     for identity, entry in CATALOGUE.items())  # fmt: skip
    if unselected:  # who chose some of the tests knows that there are others
        terminalreporter.write_line(f"not selected in this run: {unselected} of the catalogue")
        return
    absent: dict[str, list[str]] = {}
    for identity, entry in CATALOGUE.items():
        if identity not in found.rows:
            absent.setdefault(entry.later, []).append(identity)
    for reason, identities in absent.items():
        text = textwrap.fill(f"{reason}: {', '.join(identities)}", 100, subsequent_indent="  ")
        for line in text.splitlines():
            terminalreporter.write_line(line)
