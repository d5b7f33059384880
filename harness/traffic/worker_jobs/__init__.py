# SPDX-License-Identifier: Apache-2.0
"""What a worker process does: jobs on sockets it is handed, one at a time.

`workers.py` starts it under this package's own name. It imports nothing of the harness, so that it
is ready in 30 ms instead of 300. Between two jobs it sleeps in recvmsg(2).
"""

from __future__ import annotations

import array
import gc
import json
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

from .bulk import drain, pour
from .cpu_time import CpuClock
from .errors import JobError, MissingError
from .iperf import run_client, start_server, stop_server
from .trips import answer, ask

_ORDER_BYTES = 1 << 16
_PIECE_BYTES = 1 << 16  # of an answer; a socket takes no message of any length
_MAX_FDS = 8

#: Name → what does it: given the descriptors and the order's further fields, it returns what JSON
#: can carry.
JOBS: dict[str, Callable[..., dict[str, Any]]] = {
    "answer": answer,
    "ask": ask,
    "drain": drain,
    "iperf client": run_client,
    "iperf server": start_server,
    "iperf server's end": stop_server,
    "pour": pour,
}


def _pin(cpus: list[int]) -> None:
    try:
        os.sched_setaffinity(0, cpus)
    except (OSError, ValueError) as error:
        raise JobError(f"cannot pin to CPU {cpus} ({error}); see cpuset(7)") from None


def _still_pinned(cpus: list[int]) -> None:
    """A CPU that goes offline loses its threads to the others, without an error."""
    if os.sched_getaffinity(0) != set(cpus):
        raise JobError(f"CPU {cpus} was taken away while it ran (hot-unplugged, or a new cpuset)")


def perform(order: dict[str, Any], fds: list[int]) -> dict[str, Any]:
    """Do one job.

    Args:
        order: `job`, `cpus` to pin to (none: all there are), `cpu_time` to have it counted, and
            `spec`, what the job's function takes.
        fds: The descriptors the job is about.
    """
    cpus, clock = order["cpus"], CpuClock() if order["cpu_time"] else None
    _pin(cpus or list(range(os.cpu_count() or 1)))
    before = clock.read() if clock else None
    try:
        result = JOBS[order["job"]](fds, **order["spec"])
        if clock and before:
            result["cpu"] = (clock.read() - before).to_json()
    finally:
        if clock:
            clock.close()
    if cpus:
        _still_pinned(cpus)
    return result


def _answer_to(order: dict[str, Any], fds: list[int]) -> dict[str, Any]:
    try:
        return {"result": perform(order, fds)}
    except MissingError as error:
        return {"missing": str(error)}
    except JobError as error:
        return {"error": str(error)}
    except OSError as error:
        return {"error": error.strerror or str(error)}


def main(descriptor: int) -> None:
    """Serve orders until the other end is closed.

    Args:
        descriptor: Of the control socket.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever gives the orders
    with socket.socket(fileno=descriptor) as control:
        while True:
            message, fds = _receive(control)
            if not message:
                return
            gc.disable()  # a collection in mid-job would be measured
            try:
                reply = _answer_to(json.loads(message), fds)
            finally:
                gc.enable()
                for fd in fds:
                    os.close(fd)
            _send(control, json.dumps(reply).encode())


def _send(control: socket.socket, reply: bytes) -> None:
    """Send an answer in pieces, of which the last alone is not full; see `Worker.result`."""
    if len(reply) % _PIECE_BYTES == 0:
        reply += b" "  # to JSON nothing, and no empty message, which would be the socket's end
    for at in range(0, len(reply), _PIECE_BYTES):
        control.send(reply[at : at + _PIECE_BYTES])


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    """As socket.recv_fds, but nothing a job starts inherits the descriptors."""
    fds = array.array("i")
    message, ancillary, _, _ = control.recvmsg(
        _ORDER_BYTES, socket.CMSG_SPACE(_MAX_FDS * fds.itemsize), socket.MSG_CMSG_CLOEXEC
    )
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return message, list(fds)
