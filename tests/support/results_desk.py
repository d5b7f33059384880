# SPDX-License-Identifier: Apache-2.0
"""What the tests of `hostroute results` share: made-up records on disk, and the command run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.plumbing.errors import HarnessError
from tests.support import records

ONE = {"measures": ("round-trip-udp-1",), "testbeds": ("one_node",), "families": ("ipv4",)}
Outcome = tuple[int, str, str]


class Desk:
    """A directory with records, and the command."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self._capsys = capsys

    def put(self, name: str = "a", **arguments: Any) -> str:
        """Write `records.record(**arguments)`, by default of one comparison; its path."""
        return self.keep(records.record(**{**ONE, **arguments}), f"run-{name}.json")

    def keep(self, document: Any, name: str = "x.json") -> str:
        """Write a document; its path."""
        path = self.directory / name
        path.write_text(json.dumps(document))
        return str(path)

    def results(self, *arguments: object) -> Outcome:
        """`hostroute results …`: exit code, stdout, stderr."""
        code = main(["results", *map(str, arguments)])
        return code, *self._capsys.readouterr()


def refused(outcome: Outcome, error: type[HarnessError]) -> str:
    """The one line of a run that was refused."""
    code, out, err = outcome
    assert (code, out) == (error.exit_code, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("hostroute: ")
    return err
