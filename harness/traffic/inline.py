# SPDX-License-Identifier: Apache-2.0
"""Inline round trips: one thread holds both ends, so no scheduler wake-up is timed. Floor 4.

A send enters the veth pair in process context; the backlog's softirq runs when the sender enables
bottom halves again (__local_bh_enable_ip(), kernel/softirq.c), and with it the whole path up to
the receiver's socket. When send() returns, the packet is there to be read.
"""

from __future__ import annotations

import os
import select
import socket
import time
from typing import Literal

from harness.errors import TrafficError, UnknownNameError
from harness.netns import NetNS
from harness.topology import Family
from harness.traffic.samples import checked, collector_off
from harness.traffic.sockets import Connected, let_not_block, tcp_pair, udp_pair

Protocol = Literal["udp", "tcp"]

#: One segment at the smallest IPv6 MTU (1280 bytes), with TCP's timestamps.
MAX_SIZE = 1200
_LATE_MS = 200


class InlineFlow(Connected):
    """Both ends of a flow, each in its namespace.

    TCP runs with Nagle's algorithm off and Reno: no pacing timer sends in its stead.
    """

    def __init__(
        self,
        client: NetNS,
        server: NetNS,
        family: Family,
        addresses: tuple[str, str],
        protocol: Protocol = "udp",
        size: int = 64,
    ) -> None:
        """Connect, and prove with one payload that both directions carry it.

        Args:
            client: The namespace that asks.
            server: The namespace that answers.
            family: Of both addresses.
            addresses: The client's and the server's.
            protocol: What carries the payload.
            size: Payload of request and of reply, bytes, 1 to `MAX_SIZE`.

        Raises:
            TrafficError: No connection, a lost packet, or one that did not come inline.
            UnknownNameError: The protocol or the size is not one it can do.
        """
        if protocol not in ("udp", "tcp"):
            raise UnknownNameError(f"protocol {protocol!r} is unknown", "use udp or tcp")
        if not 1 <= size <= MAX_SIZE:
            raise UnknownNameError(f"payload size {size} is not between 1 and {MAX_SIZE}")
        self.name = f"{client.name} > {server.name} {family.name} {protocol.upper()} {size} B"
        self._payload = os.urandom(size)
        self._buffer = bytearray(size)
        connect = udp_pair if protocol == "udp" else tcp_pair
        super().__init__(connect(client, server, family, addresses), let_not_block)
        self._client, self._server = self.ends
        try:
            self._prove()
        except BaseException:
            self.close()
            raise

    def _prove(self) -> None:
        for sender, receiver in ((self._client, self._server), (self._server, self._client)):
            self._buffer[:] = bytes(len(self._buffer))
            try:
                sender.send(self._payload)
                receiver.recv_into(self._buffer)
            except BlockingIOError:
                raise self._missing(receiver) from None
            except OSError as error:
                raise TrafficError(f"inline {self.name}: {error}") from None
            if self._buffer != self._payload:
                raise TrafficError(f"inline {self.name}: the payload arrived changed")

    def burst(self, trips: int) -> list[int]:
        """Do `trips` round trips, one after the other.

        Returns:
            Nanoseconds of each: four system calls, the path there and the path back.

        Raises:
            TrafficError: A packet was lost, refused, or did not come inline; or the clock erred.
        """
        clock, payload, buffer = time.perf_counter_ns, self._payload, self._buffer
        ask, hear = self._client.send, self._server.recv_into
        answer, listen = self._server.send, self._client.recv_into
        durations: list[int] = []
        try:
            with collector_off():
                for _ in range(trips):
                    start = clock()
                    ask(payload)
                    hear(buffer)
                    answer(payload)
                    listen(buffer)
                    durations.append(clock() - start)
        except BlockingIOError:
            raise self._missing(None) from None
        except OSError as error:
            raise TrafficError(f"inline {self.name}: {error}") from None
        return checked(durations, f"inline {self.name}")

    def _missing(self, receiver: socket.socket | None) -> TrafficError:
        """Tell a packet that comes late from one that is lost."""
        poll = select.poll()
        for end in (self._client, self._server) if receiver is None else (receiver,):
            poll.register(end, select.POLLIN)
        if poll.poll(_LATE_MS):
            return TrafficError(
                f"inline {self.name}: a packet came late, not in its sender's softirq",
                "look for RPS, threaded NAPI, a qdisc or a program that delays",
            )
        return TrafficError(f"inline {self.name}: a packet was lost", "does the datapath forward?")
