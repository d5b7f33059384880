# SPDX-License-Identifier: Apache-2.0
"""Worker processes, which do timed jobs on sockets they are handed. Floor 4.

Why processes: two Python threads would share one interpreter lock, and hold each other up. Why
kept: one starts in 30 ms, a job in 0.1. A socket stays in the namespace it was made in, so a worker
needs no namespace of its own and serves every arm. Each dies with the thread that started it, also
after SIGKILL (`process.spawn`); idle, it sleeps.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from harness import process
from harness.errors import MissingToolError, TrafficError
from harness.signals import interruptible

#: The worker's program; the text by which it is known in a list of processes.
PROGRAM = "worker_jobs"
_START = (
    f"import sys; sys.path.append(sys.argv[1]); from {PROGRAM} import main; main(int(sys.argv[2]))"
)
_SECONDS = 15.0  # beyond what a job itself waits for; a machine may be overbooked
_PIECE_BYTES = 1 << 16  # as worker_jobs has it: a shorter piece is an answer's last
_INSTALL = {
    "libiperf": "run `apt-get install libiperf0`",
    "the Python package iperf3": "run `pip install iperf3`",
}


class Descriptor(Protocol):
    """Whatever has a file descriptor: a socket, a namespace."""

    def fileno(self) -> int:
        """The descriptor."""
        ...


class Worker:
    """One worker process. It does one job at a time."""

    def __init__(self) -> None:
        """Start it; it is ready when it answers its first order."""
        self._who = ""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, contextlib.ExitStack() as undo:
            undo.enter_context(self._control)
            self._says = undo.enter_context(tempfile.TemporaryFile())
            # -P keeps the working directory off its module path.
            argv = [sys.executable, "-P", "-c", _START, str(Path(__file__).parent),
                    str(theirs.fileno())]  # fmt: skip
            self._process = process.spawn(
                argv, pass_fds=(theirs.fileno(),), stdout=self._says, stderr=self._says
            )
            undo.pop_all()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    @property
    def busy(self) -> bool:
        """Whether it has a job whose answer nobody has taken."""
        return bool(self._who)

    def begin(
        self,
        job: str,
        who: str,
        fds: Sequence[Descriptor | int] = (),
        cpus: Sequence[int] = (),
        cpu_time: bool = False,
        **spec: object,
    ) -> None:
        """Order a job; `result` takes its answer.

        Args:
            job: Its name in `worker_jobs.JOBS`.
            who: What to call it in errors: `client in pod1`.
            fds: What the job is about.
            cpus: CPUs to pin it to; none: all that are allowed.
            cpu_time: Count its CPU time; see `worker_jobs/cpu_time.py`.
            **spec: What the job takes.
        """
        order = {"job": job, "cpus": list(cpus), "cpu_time": cpu_time, "spec": spec}
        numbers = [fd if isinstance(fd, int) else fd.fileno() for fd in fds]
        self._who = who
        try:
            socket.send_fds(self._control, [json.dumps(order).encode()], numbers)
        except (BrokenPipeError, ConnectionResetError):
            raise self._dead() from None

    def result(self, seconds: float = _SECONDS) -> dict[str, Any]:
        """Wait for the job's answer.

        Args:
            seconds: How long at the most.

        Raises:
            MissingToolError: The job needs something that is not installed.
            TrafficError: The job failed, did not end in time, or the worker died. It is then gone.
        """
        self._control.settimeout(seconds)
        try:
            with interruptible():
                text = piece = self._control.recv(_PIECE_BYTES)
                while len(piece) == _PIECE_BYTES:
                    piece = self._control.recv(_PIECE_BYTES)
                    text += piece
        except TimeoutError:
            who = self._who
            self.kill()
            raise TrafficError(f"{who}: no end within {seconds:g} s") from None
        except ConnectionResetError:
            piece = b""
        if not piece:
            raise self._dead()
        who, self._who = self._who, ""
        answer = json.loads(text)
        raise_if_failed(answer, who)
        found: dict[str, Any] = answer["result"]
        return found

    def _dead(self) -> TrafficError:
        """What became of it."""
        who = self._who
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_SECONDS)
        code = self._process.returncode
        self._says.seek(0)
        last = self._says.read().decode(errors="replace").strip().splitlines()[-1:]
        self.kill()
        if code is not None and code < 0:
            return TrafficError(f"{who}: killed by {signal.Signals(-code).name}")
        return TrafficError(f"{who}: ended without a result ({(last or ['no output'])[0]})")

    def kill(self) -> None:
        """End it now, and with it whatever it started."""
        self._who = ""
        self._process.kill()
        self._process.wait()
        self._control.close()
        self._says.close()


def raise_if_failed(answer: dict[str, Any], who: str) -> None:
    """Raise what a worker, or a child of one, reports.

    Raises:
        MissingToolError: Something is not installed.
        TrafficError: The job failed.
    """
    if "missing" in answer:
        missing = answer["missing"]
        raise MissingToolError(f"{who}: {missing} is not installed", _INSTALL.get(missing, ""))
    if "error" in answer:
        raise TrafficError(f"{who}: {answer['error']}")


class _Pool(threading.local):
    """The workers of a thread, by name: a worker dies with the thread that started it."""

    def __init__(self) -> None:
        self.workers: dict[str, Worker] = {}


_pool = _Pool()


@contextmanager
def workers(*names: str) -> Iterator[list[Worker]]:
    """Workers of those names for one turn, started at first use and kept for the next.

    One that is still at work when the block is left, because of an error, is killed.
    """
    chosen = []
    for name in names:
        found = _pool.workers.get(name)
        if found is None or not found.alive:
            found = _replace(name)
        chosen.append(found)
    try:
        yield chosen
    finally:
        for name, worker in zip(names, chosen, strict=True):
            if worker.busy or not worker.alive:
                worker.kill()
                _pool.workers.pop(name, None)


def _replace(name: str) -> Worker:
    if name in _pool.workers:
        _pool.workers.pop(name).kill()
    _pool.workers[name] = worker = Worker()
    return worker


def close_workers() -> None:
    """End the calling thread's workers; a thread that used some does so at its end."""
    while _pool.workers:
        _pool.workers.popitem()[1].kill()


atexit.register(close_workers)
