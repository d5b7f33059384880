# SPDX-License-Identifier: Apache-2.0
"""A pytest plugin that interrupts its own run at one bytecode of one call, or lists the calls.

For child runs, loaded with `-p testbeds.striker`; `testbeds/struck_run.py` starts them. What it
counts are calls of functions in the main thread, each time a generator goes on among them, from the
first test on to the end of the run.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

#: A JSON file to write the calls to.
LIST = "HOSTROUTE_LIST_CALLS"
#: A `Point`, as JSON.
STRIKE = "HOSTROUTE_STRIKE"
#: Between what is traced: ours, and what opens and closes things in our stead.
_TRACED = (
    "/harness/", "/testbeds/", "/contextlib.py", "/subprocess.py", "/socket.py", "/tempfile.py",
    "/weakref.py", "/threading.py", "/pyroute2/", "/_pytest/fixtures.py", "/_pytest/runner.py",
    "/_pytest/main.py", "/_pytest/python.py",
)  # fmt: skip


@dataclass(frozen=True)
class Point:
    """Where a run is interrupted.

    Attributes:
        function: Its file, first line and name.
        call: Which call of it.
        step: Before which of the call's bytecodes; the call's end, should it have fewer.
        signal: The signal's number.
    """

    function: str
    call: int
    step: int
    signal: int

    def to_json(self) -> str:
        """For the environment."""
        return json.dumps(asdict(self))


def _name(code: CodeType) -> str:
    return f"{code.co_filename}:{code.co_firstlineno}:{code.co_name}"


class _Lister:
    """Counts calls."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._calls: Counter[CodeType] = Counter()

    def start(self) -> None:
        sys.settrace(self._on_call)

    def _on_call(self, frame: FrameType, _event: str, _argument: object) -> None:
        self._calls[frame.f_code] += 1

    def end(self) -> None:
        sys.settrace(None)
        found: Counter[str] = Counter()
        for code, count in self._calls.items():
            if any(part in code.co_filename for part in _TRACED) and code.co_filename != __file__:
                found[_name(code)] += count
        self._path.write_text(json.dumps(found), encoding="utf-8")


class _Striker:
    """Raises the signal once."""

    def __init__(self, point: Point) -> None:
        self._point = point
        self._file, line, self._function = point.function.rsplit(":", 2)
        self._line = int(line)
        self._calls = self._steps = 0

    def start(self) -> None:
        sys.settrace(self._on_call)

    def _on_call(self, frame: FrameType, _event: str, _argument: object) -> Any:
        code = frame.f_code
        if code.co_firstlineno != self._line or code.co_name != self._function:
            return None
        if code.co_filename != self._file:
            return None
        self._calls += 1
        if self._calls != self._point.call:
            return None
        frame.f_trace_opcodes = True
        return self._on_step

    def _on_step(self, frame: FrameType, event: str, _argument: object) -> Any:
        if event == "opcode":
            self._steps += 1
        if event == "return" or self._steps == self._point.step:
            sys.settrace(None)
            frame.f_trace = None
            signal.raise_signal(self._point.signal)
        return self._on_step

    def end(self) -> None:
        sys.settrace(None)


_chosen: list[_Lister | _Striker] = []


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    if LIST in os.environ:
        _chosen.append(_Lister(Path(os.environ[LIST])))
    else:
        _chosen.append(_Striker(Point(**json.loads(os.environ[STRIKE]))))
    _chosen[0].start()


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure() -> None:
    for each in _chosen:
        each.end()
