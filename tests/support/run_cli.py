# SPDX-License-Identifier: Apache-2.0
"""The command line and pytest as child processes, for tests of how they begin and how they end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.plumbing.signals import interruptible

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 60.0  # seconds for a run of one test; a busy machine takes 5
#: Every descendant inherits it: what a run left behind bears its mark.
MARK = "HOSTROUTE_TEST_MARK"
CLI = (sys.executable, "-m", "harness.cli")
_PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider",
           "-c", str(ROOT / "pyproject.toml"))  # fmt: skip

# A shell's background job ignores Ctrl-C, nohup's also a hang-up, and children inherit that.
_INTERRUPTIBLE = ("env", "--default-signal=INT,HUP")


@dataclass(frozen=True)
class Ended:
    """A child that has ended.

    Attributes:
        code: Its exit code; negative: the signal that killed it.
        out: Its stdout.
        err: Its stderr.
    """

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """All it said."""
        return self.out + self.err


def pytest_of(*arguments: str, rootdir: Path = ROOT) -> tuple[str, ...]:
    """The command of a pytest run that leaves no cache; failed tests' pcaps go below `rootdir`."""
    return (*_PYTEST, "--rootdir", str(rootdir), *arguments)


def start(
    argv: Sequence[str], environment: Mapping[str, str] | None = None, **popen: Any
) -> subprocess.Popen[str]:
    """Start a child that finds the harness wherever it runs."""
    path = os.pathsep.join(filter(None, (str(ROOT), (environment or {}).get("PYTHONPATH"))))
    return subprocess.Popen(
        [*_INTERRUPTIBLE, *argv], env={**os.environ, **(environment or {}), "PYTHONPATH": path},
        text=True, stdout=subprocess.PIPE,
        **{"cwd": ROOT, "stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, **popen},
    )  # fmt: skip


def end(child: subprocess.Popen[str], deadline: float = DEADLINE) -> Ended:
    """Wait for a child's end; one that overruns the deadline is killed, and the test fails."""
    try:
        with interruptible():
            out, err = child.communicate(timeout=deadline)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        raise
    return Ended(child.returncode, out, err)
