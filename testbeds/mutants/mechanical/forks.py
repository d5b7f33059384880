# SPDX-License-Identifier: Apache-2.0
"""Functions run in forks of this process, several at once; what each returns comes back as JSON.

A fork has imported and collected already what a new interpreter needs seconds for.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import select
import signal
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

from harness.plumbing.errors import HarnessError

#: A job: what it is called, and what its fork does.
Job = tuple[Any, Callable[[], object]]
_BROKEN = 70
_PR_SET_PDEATHSIG = 1  # prctl(2)
_libc = ctypes.CDLL(None)
_LEAVING = 30.0  # seconds that a fork has to remove what it made


@dataclass
class _Fork:
    name: Any
    pid: int
    said: int
    until: float
    pidfd: int = field(default=-1)


def run(
    jobs: Iterator[Job], at_once: int, deadline: float
) -> Generator[tuple[Any, Any], None, None]:
    """Each job's name and what its function returned; None: it was killed, or not done in time.

    Args:
        jobs: Taken one by one, when there is room.
        at_once: How many run at once.
        deadline: Seconds for each.

    Raises:
        HarnessError: A function failed.
    """
    running: list[_Fork] = []
    more = True
    try:
        while more or running:
            while more and len(running) < at_once:
                job = next(jobs, None)
                more = job is not None
                if job is not None:
                    running.append(_start(*job, deadline))
            yield from _ended(running)
    finally:
        for fork in running:
            _kill(fork)


def _start(name: object, function: Callable[[], object], deadline: float) -> _Fork:
    said = os.memfd_create("said")
    pid = os.fork()
    if pid == 0:
        _in_fork(function, said)
    return _Fork(name, pid, said, time.monotonic() + deadline, os.pidfd_open(pid))


def _in_fork(function: Callable[[], object], said: int) -> NoReturn:
    """Never returns into what the parent was doing."""
    status = _BROKEN
    try:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # if the parent is killed
        os.setpgid(0, 0)  # not a session: the scheduler would count each as another user's
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        atexit._clear()  # of what the parent made, too
        content = json.dumps(function())
        atexit._run_exitfuncs()
        status = 0
    except BaseException:  # noqa: BLE001 - the parent tells
        content = traceback.format_exc()
    finally:
        with open(said, "w", encoding="utf-8") as file:
            file.write(content)
        os._exit(status)


def _ended(running: list[_Fork]) -> Iterator[tuple[Any, Any]]:
    """Wait for the next, and give what those that have ended said."""
    poll = select.poll()
    for fork in running:
        poll.register(fork.pidfd, select.POLLIN)
    left = min((fork.until for fork in running), default=time.monotonic()) - time.monotonic()
    ready = {fd for fd, _ in poll.poll(max(left, 0) * 1000)}
    for fork in list(running):
        if fork.pidfd in ready or time.monotonic() > fork.until:
            running.remove(fork)
            if fork.pidfd in ready:
                yield fork.name, _said(fork)
            else:
                _kill(fork)
                yield fork.name, None


def _said(fork: _Fork) -> Any:
    os.close(fork.pidfd)
    _, status = os.waitpid(fork.pid, 0)
    with open(fork.said, "rb") as file:
        file.seek(0)
        content = file.read()
    if os.waitstatus_to_exitcode(status) == _BROKEN:
        raise HarnessError(f"a fork failed at {fork.name}: {content.decode()}")
    return json.loads(content) if status == 0 else None


def _kill(fork: _Fork) -> None:
    """End it, gently at first: it has namespaces to remove."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(fork.pid, number)
        poll = select.poll()
        poll.register(fork.pidfd, select.POLLIN)
        if poll.poll(_LEAVING * 1000):
            break
    os.waitpid(fork.pid, 0)
    os.close(fork.pidfd)
    os.close(fork.said)
