# SPDX-License-Identifier: Apache-2.0
"""Jobs of a round trip between two processes: one asks and sleeps, one answers."""

from __future__ import annotations

import socket
import time
from typing import Any

from .errors import JobError


def ask(fds: list[int], trips: int, size: int) -> dict[str, Any]:
    """Send a request, sleep until the reply is there, and again.

    Args:
        fds: A connected datagram socket, with a deadline (SO_RCVTIMEO).
        trips: How many requests.
        size: Payload of each, bytes.

    Returns:
        `durations`: nanoseconds of each.
    """
    durations: list[int] = []
    payload, buffer = bytes(size), bytearray(size)
    with socket.socket(fileno=socket.dup(fds[0])) as sock:
        clock, send, receive = time.perf_counter_ns, sock.send, sock.recv_into
        try:
            for _ in range(trips):
                start = clock()
                send(payload)
                receive(buffer)
                durations.append(clock() - start)
        except BlockingIOError:
            raise JobError(f"request {len(durations) + 1} of {trips} had no reply") from None
        except OSError as error:
            raise JobError(f"request {len(durations) + 1} of {trips}: {error.strerror}") from None
    return {"durations": durations}


def answer(fds: list[int], trips: int, size: int) -> dict[str, Any]:
    """Sleep until a request is there, send it back, and again; as `ask`."""
    buffer, done = bytearray(size), 0
    with socket.socket(fileno=socket.dup(fds[0])) as sock:
        send, receive = sock.send, sock.recv_into
        try:
            while done < trips:
                receive(buffer)
                send(buffer)
                done += 1
        except BlockingIOError:
            raise JobError(f"request {done + 1} of {trips} did not arrive") from None
        except OSError as error:
            raise JobError(f"request {done + 1} of {trips}: {error.strerror}") from None
    return {}
