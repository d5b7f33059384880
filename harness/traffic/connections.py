# SPDX-License-Identifier: Apache-2.0
"""TCP connections from their first packet to their last, both ends in one thread.

As in `inline`, what a system call sends has arrived when it returns: connect() comes back with the
handshake done, close() with the FIN acknowledged. So no wake-up is timed, and one CPU does it all.
"""

from __future__ import annotations

import socket
import time

from harness.plumbing.closable import Closable
from harness.plumbing.errors import TrafficError
from harness.plumbing.netns import NetNS
from harness.topology import Family
from harness.traffic import sockets
from harness.traffic.checks import checked, collector_off

_BACKLOG = 16


class Connections(Closable):
    """A listener in the server's namespace; `with` closes it.

    The client closes first, as most do. Its end is in TIME-WAIT for a minute, and holds its port
    (of net.ipv4.ip_local_port_range, 28232 by default) for as long; both are the namespace's own
    and go with it.
    """

    def __init__(
        self, client: NetNS, server: NetNS, family: Family, addresses: tuple[str, str]
    ) -> None:
        """Listen.

        Args:
            client: The namespace that connects.
            server: The namespace that accepts.
            family: Of both addresses.
            addresses: The client's and the server's.
        """
        self.name = f"connections {client.name} > {server.name} {family.name}"
        self._client, self._family = client, family
        self._listener = server.socket(family.af, socket.SOCK_STREAM)
        try:
            self._listener.bind((addresses[1], 0))
            self._listener.listen(_BACKLOG)
            self._listener.setblocking(False)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise TrafficError(f"{self.name}: cannot listen ({error})") from None
            raise

    def close(self) -> None:
        """Close the listener."""
        self._listener.close()

    def burst(self, count: int) -> list[int]:
        """Open, use and close connections, one after the other.

        Returns:
            Nanoseconds of each: socket(), connect(), accept(), one byte there and one back, and
            both close().

        Raises:
            TrafficError: A connection was refused, lost, or not done in time; or no port is left.
        """
        durations: list[int] = []
        target = self._listener.getsockname()[:2]
        try:
            with self._client, collector_off():
                for _ in range(count):
                    start = time.perf_counter_ns()
                    self._one(target)
                    durations.append(time.perf_counter_ns() - start)
        except OSError as error:
            raise TrafficError(
                f"{self.name}: number {len(durations) + 1} of {count} failed ({error})",
                "does the datapath forward? are ports, or conntrack's table, used up?",
            ) from None
        return checked(durations, self.name)

    def _one(self, target: tuple[str, int]) -> None:
        with socket.socket(self._family.af, socket.SOCK_STREAM) as asking:
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, sockets.DEADLINE)
            asking.connect(target)
            with self._listener.accept()[0] as answering:
                for sender, receiver in ((asking, answering), (answering, asking)):
                    sender.send(b"?")
                    if not receiver.recv(1, socket.MSG_DONTWAIT):
                        raise ConnectionResetError("closed by the other end")
                asking.close()
