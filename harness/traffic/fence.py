# SPDX-License-Identifier: Apache-2.0
"""Know, without waiting for a timeout, that a packet which has not arrived never will. Floor 4.

veth delivers through the per-CPU backlog (netif_rx, net/core/dev.c), a FIFO that softirq drains,
usually before the send returns, at times by ksoftirqd. A packet that crosses hops enters the same
queue once per hop. So does a datagram through `lo`: when n of those, sent one after the other
from the same CPU, have come back, every packet sent before has had n turns of the queue.
"""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from harness.errors import TrafficError
from harness.netns import NetNS

#: More turns than a round trip over two nodes and a switch takes (12), with an ARP exchange.
TURNS = 32
_DEADLINE = 60.0  # seconds; only a stuck machine overruns it
_libc = ctypes.CDLL(None)


@contextmanager
def pinned(cpu: int | None = None) -> Iterator[int]:
    """Keep the calling thread on one CPU, and give it its former ones back; yields the CPU.

    Args:
        cpu: Which; by default the one it runs on.

    Raises:
        TrafficError: The kernel refuses: the CPU is offline, or not among those allowed.
    """
    before = os.sched_getaffinity(0)
    if cpu is None:
        here = _libc.sched_getcpu()
        cpu = here if here in before else min(before)
    try:
        os.sched_setaffinity(0, {cpu})
    except (OSError, ValueError) as error:
        raise TrafficError(
            f"cannot pin to CPU {cpu} ({error})", f"allowed here: {sorted(before)}; see cpuset(7)"
        ) from None
    try:
        yield cpu
    finally:
        with suppress(OSError):  # all it had are offline: `held` has more to say of that
            os.sched_setaffinity(0, before)


class Fence:
    """A datagram socket that talks to itself over `lo` inside a namespace."""

    def __init__(self, ns: NetNS) -> None:
        self._socket = ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind(("127.0.0.1", 0))
            self._socket.connect(self._socket.getsockname())
            self._socket.settimeout(_DEADLINE)
        except BaseException:
            self.close()
            raise

    def pass_(self) -> None:
        """Return once everything this thread sent from its CPU has come to its end.

        Raises:
            TrafficError: The machine did not drain its backlog in a minute.
        """
        try:
            for turn in range(TURNS):
                self._socket.send(turn.to_bytes(2, "big"))
                self._socket.recv(2)
        except TimeoutError:
            raise TrafficError(
                f"the CPU's packet backlog was not drained in {_DEADLINE:g} s",
                "is the machine overloaded?",
            ) from None

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
