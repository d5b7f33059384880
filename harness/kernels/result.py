# SPDX-License-Identifier: Apache-2.0
"""What became of a kernel: its guest, its tests, in words and as a file. Floor 7."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from harness import safe_read, safe_write
from harness.errors import FAILED_ON_KERNEL, GuestError, HarnessError
from harness.kernels import outcomes
from harness.kernels.kernel import Kernel
from harness.kernels.outcomes import Outcome
from harness.kernels.watch import Ended

_PYTEST_JUDGED = (0, 1)  # tests ran, and passed or failed
OUTPUT = 16 << 20  # bytes of a guest's output that are read
#: What a guest that came to its end leaves, and nobody needs.
_SCAFFOLD = ("progress", "status", "qemu.log", "full", "modprobe")


@dataclass
class Result:
    """What became of one kernel.

    Attributes:
        asked: What the user called it.
        kernel: It; None: it could not be had.
        directory: Where its results are.
        ended: How its guest ended; None: it was not started.
        error: Why it was not started.
        outcomes: Of its tests.
        like: Whether another kernel of the run has its version.
    """

    asked: str
    kernel: Kernel | None = None
    directory: Path | None = None
    ended: Ended | None = None
    error: HarnessError | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    like: bool = False

    @property
    def name(self) -> str:
        """For the head of a column."""
        if self.kernel is None:
            return self.asked
        return self.kernel.release if self.like else self.kernel.version

    @property
    def trouble(self) -> str:
        """Why there is no whole result; empty: there is."""
        if self.error is not None:
            return str(self.error)
        return "not begun" if self.ended is None else self.ended.trouble

    @property
    def exit_code(self) -> int:
        """0, `FAILED_ON_KERNEL`, or that of the error."""
        if self.error is not None:
            return self.error.exit_code
        if self.ended is None or self.ended.trouble:
            return GuestError.exit_code
        return FAILED_ON_KERNEL if self.ended.status else 0


def describe(result: Result) -> str:
    """What became of a kernel, one line."""
    if result.ended is None or result.ended.status is None:
        return result.trouble
    counted = outcomes.cell(result.outcomes) if result.outcomes else f"exit {result.ended.status}"
    if result.ended.status not in _PYTEST_JUDGED:
        counted += f" ({_last_word(result)})"
    seconds = result.ended.seconds
    whole = sum(seconds.values())
    times = f"{whole:.0f} s, {whole - seconds.get('run', 0.0):.0f} s of them outside the tests"
    return "; ".join(filter(None, (counted, result.trouble, times)))


def _last_word(result: Result) -> str:
    """Why a command ended as it did, by the end of its output."""
    assert result.directory is not None
    try:
        text = safe_read.text(result.directory / "output.txt", OUTPUT, tail=True)
    except OSError:
        return "it said nothing"
    lines = [line.strip() for line in text.splitlines() if line.strip(" =!-")]
    telling = [line for line in lines if "hostroute: " in line or line.startswith("ERROR")]
    return (telling or lines or ["it said nothing"])[-1]


def write_summary(result: Result) -> None:
    """summary.json among a kernel's results; what was only scaffolding goes."""
    assert result.kernel is not None
    assert result.directory is not None
    assert result.ended is not None
    kernel, ended = result.kernel, result.ended
    table = {
        "asked": result.asked, "release": kernel.release, "version": kernel.version,
        "origin": kernel.origin, "status": ended.status, "trouble": ended.trouble,
        "lines": list(ended.lines), "seconds": ended.seconds,
        "tests": outcomes.counts(result.outcomes),
    }  # fmt: skip
    text = json.dumps(table, indent=1) + "\n"
    safe_write.replace(result.directory / "summary.json", text.encode())
    for name in _SCAFFOLD if ended.status is not None else ():
        with suppress(OSError):  # a guest may have made it a directory
            (result.directory / name).unlink()
