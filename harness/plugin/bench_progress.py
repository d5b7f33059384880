# SPDX-License-Identifier: Apache-2.0
"""How far the measuring is: a bar on a terminal, elsewhere lines."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import IO, cast

import pytest
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from harness.bench import Campaign, Curves, Task
from harness.results import Comparison, units

_EVERY = 30.0  # seconds between two lines that say where the measuring is


class _Output:
    """pytest's terminal as a file."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self._reporter = reporter

    def write(self, text: str) -> int:
        self._reporter.write(text, flush=True)
        return len(text)

    def flush(self) -> None:
        """`write` has done so."""


class Show:
    """Watches campaigns and curves for the user."""

    def __init__(self, config: pytest.Config, reporter: pytest.TerminalReporter) -> None:
        self._config, self._reporter = config, reporter
        self._progress: Progress | None = None
        self._bar = TaskID(0)
        self._said = ""
        self._told = time.monotonic()

    @contextmanager
    def _shown(self) -> Iterator[None]:
        """What is written meanwhile is seen now, although the test is captured."""
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture is not None else nullcontext():
            yield
            self._reporter.flush()  # a pipe would hold it back, for the capture to get

    def step(self, campaign: Campaign, task: Task) -> None:
        """Move the bar; before the first verdict, name what takes its turns now."""
        head = f"{campaign.testbed} build {campaign.blocks + 1}"
        done = f"{len(campaign.comparisons)} of {campaign.tasks} settled"
        self._move(head, done, campaign.spent, campaign.seconds, _short(task))

    def finished(self, campaign: Campaign, comparison: Comparison) -> None:
        """Show the verdict."""
        if self._reporter.isatty:
            self._said = verdict_so_far(comparison)
            self._end_if(len(campaign.comparisons) == campaign.tasks)
        elif not comparison.given_up:  # the tables name those
            with self._shown():
                self._reporter.ensure_newline()
                self._reporter.write_line(str(comparison))

    def point(self, curves: Curves, x: int) -> None:
        """Move the bar, and name the point."""
        head = f"{curves.testbed} pass {curves.passes + 1}"
        self._move(head, f"{x} {curves.axis.over}", curves.spent, curves.seconds, "")

    def drawn(self, curves: Curves) -> None:
        """Take the bar away."""
        self._said = f"{curves.testbed} over {curves.axis.over}: drawn"
        self._end_if(True)

    def _move(self, head: str, what: str, spent: float, seconds: float | None, now: str) -> None:
        if not self._reporter.isatty:
            self._tell(f"{head}: {what}")
            return
        total = seconds if seconds is not None and math.isfinite(seconds) else None
        with self._shown():
            if self._progress is None:
                self._progress = self._begun()
            self._progress.update(
                self._bar, description=head, what=what, said=self._said or now,
                completed=min(spent, total or spent), total=total,
            )  # fmt: skip
            self._progress.refresh()

    def _tell(self, line: str) -> None:
        """A line now and then, for whoever waits for a sign of life."""
        if time.monotonic() - self._told < _EVERY:
            return
        self._told = time.monotonic()
        with self._shown():
            self._reporter.ensure_newline()
            self._reporter.write_line(line)

    def _begun(self) -> Progress:
        self._reporter.ensure_newline()
        console = Console(file=cast("IO[str]", _Output(self._reporter)), force_terminal=True)
        progress = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=16),
            TimeElapsedColumn(),
            TextColumn("{task.fields[what]}", table_column=Column(no_wrap=True)),
            TextColumn("[dim]{task.fields[said]}[/dim]"),
            console=console,
            # Its own refreshing would be a thread beside the one that measures, and pins itself.
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            transient=True,
        )
        self._bar = progress.add_task("", what="", said="")
        progress.start()
        return progress

    def _end_if(self, over: bool) -> None:
        if over and self._progress is not None:
            with self._shown():
                self._progress.stop()
            self._progress = None
            self._said = ""


def verdict_so_far(comparison: Comparison) -> str:
    """The latest comparison in a few words."""
    name = f"{comparison.measure} {comparison.family}"
    if comparison.partial is not None:
        return f"{name}: partial"
    found = [
        f"{verdict.arm} {units.ratio(verdict.ratio)} of {verdict.against}, {verdict.conclusion}"
        for verdict in comparison.verdicts
    ]
    return f"{name}: {', '.join(found) or 'measured'}"


def _short(task: Task) -> str:
    return f"{task.key} {task.family.name}"
