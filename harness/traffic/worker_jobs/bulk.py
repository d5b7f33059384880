# SPDX-License-Identifier: Apache-2.0
"""Jobs of a byte stream: one pours, one drains, in blocks of iperf3's size."""

from __future__ import annotations

import socket
import time
from typing import Any

from .errors import JobError

_BLOCK = 128 << 10


def pour(fds: list[int], size: int) -> dict[str, Any]:
    """Send.

    Args:
        fds: A connected stream socket, with a deadline (SO_SNDTIMEO).
        size: Bytes; 0: until the socket is shut down.

    Returns:
        `moved`: bytes sent; `nanoseconds`: how long it took.
    """
    block, moved, start = memoryview(bytes(_BLOCK)), 0, time.perf_counter_ns()
    with socket.socket(fileno=socket.dup(fds[0])) as sock:
        try:
            while not size or moved < size:
                moved += sock.send(block[: size - moved] if size else block)
        except BlockingIOError:
            raise JobError(f"stalled after {moved} of {size or 'endless'} bytes") from None
        except (BrokenPipeError, ConnectionResetError):
            if size:
                raise JobError(f"the receiver went away after {moved} of {size} bytes") from None
    return {"moved": moved, "nanoseconds": time.perf_counter_ns() - start}


def drain(fds: list[int], size: int) -> dict[str, Any]:
    """Receive, from the first byte on; as `pour`, and with SO_RCVTIMEO."""
    buffer, start = bytearray(_BLOCK), 0
    moved = 0
    with socket.socket(fileno=socket.dup(fds[0])) as sock:
        try:
            while not size or moved < size:
                done = sock.recv_into(buffer)
                if not done:
                    break
                start = start or time.perf_counter_ns()
                moved += done
        except BlockingIOError:
            raise JobError(f"stalled after {moved} of {size or 'endless'} bytes") from None
        except ConnectionResetError:
            if size:
                raise JobError(f"the sender went away after {moved} of {size} bytes") from None
    if size and moved < size:
        raise JobError(f"the sender went away after {moved} of {size} bytes")
    return {"moved": moved, "nanoseconds": time.perf_counter_ns() - start}
