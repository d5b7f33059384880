# SPDX-License-Identifier: Apache-2.0
"""Datagrams in batches, one system call for many, both ends in one thread. Floor 4.

As in `inline`, a packet has gone its whole way when the call that sends it returns. Many to a call,
so that the path is what costs, and not the calls or the interpreter.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import time
from dataclasses import dataclass

from harness.errors import TrafficError
from harness.netns import NetNS
from harness.topology import Family
from harness.traffic.samples import checked, collector_off
from harness.traffic.sockets import Connected, udp_pair

#: Datagrams in a batch; as many as surely find room in a receiver's default buffer of 208 KiB.
BATCH = 64
_libc = ctypes.CDLL(None, use_errno=True)


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):  # struct msghdr, recvmsg(2)
    _fields_ = (
        ("name", ctypes.c_void_p), ("name_length", ctypes.c_uint32),
        ("iov", ctypes.POINTER(_Iovec)), ("iov_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )  # fmt: skip


class _Message(ctypes.Structure):  # struct mmsghdr, sendmmsg(2)
    _fields_ = (("header", _Header), ("length", ctypes.c_uint))


@dataclass(frozen=True)
class Volley:
    """What became of some batches.

    Attributes:
        sent: Datagrams the sender's kernel took.
        received: Datagrams that were there to be read when the batch had been sent.
        rates: Of each batch, datagrams received per second.
    """

    sent: int
    received: int
    rates: list[float]

    @property
    def lost_percent(self) -> float:
        """The share that did not arrive."""
        return 100 * (self.sent - self.received) / self.sent


class PacketFlow(Connected):
    """UDP datagrams from the client's namespace to the server's."""

    def __init__(
        self,
        client: NetNS,
        server: NetNS,
        family: Family,
        addresses: tuple[str, str],
        size: int,
    ) -> None:
        """Connect.

        Args:
            client: The namespace that sends.
            server: The namespace that receives.
            family: Of both addresses.
            addresses: The client's and the server's.
            size: Payload of each datagram, bytes.

        Raises:
            TrafficError: The sockets cannot be had.
        """
        self.name = f"packets {client.name} > {server.name} {family.name} UDP {size} B"
        self._buffer = ctypes.create_string_buffer(size)
        self._part = _Iovec(ctypes.addressof(self._buffer), size)
        self._messages = (_Message * BATCH)()
        for message in self._messages:  # nobody reads what is in them: one buffer serves all
            message.header.iov, message.header.iov_length = ctypes.pointer(self._part), 1
        super().__init__(udp_pair(client, server, family, addresses))

    def volley(self, batches: int) -> Volley:
        """Send that many batches, one after the other, and read what arrived of each.

        Raises:
            TrafficError: A batch was refused, none of it arrived, or the clock erred.
        """
        durations, counts = [], []
        with collector_off():
            for _ in range(batches):
                start = time.perf_counter_ns()
                self._send()
                counts.append(self._receive())
                durations.append(time.perf_counter_ns() - start)
        checked(durations, self.name)
        rates = [1e9 * count / ns for count, ns in zip(counts, durations, strict=True)]
        return Volley(batches * BATCH, sum(counts), rates)

    def _send(self) -> None:
        sent = _libc.sendmmsg(self.ends[0].fileno(), self._messages, BATCH, 0)
        if sent != BATCH:  # an error after the first is swallowed: sendmmsg(2), BUGS
            reason = os.strerror(ctypes.get_errno()) if sent < 0 else f"{sent} of {BATCH} taken"
            raise TrafficError(f"{self.name}: cannot send ({reason})", "is the receiver there?")

    def _receive(self) -> int:
        """How many of a batch have arrived; what an earlier one left behind may be among them."""
        sock, flags = self.ends[1].fileno(), socket.MSG_DONTWAIT
        received: int = _libc.recvmmsg(sock, self._messages, BATCH, flags, None)
        if received > 0:
            return received
        code = ctypes.get_errno()
        if code == errno.EAGAIN:
            raise TrafficError(
                f"{self.name}: none of {BATCH} packets arrived", "does the datapath forward?"
            )
        raise TrafficError(f"{self.name}: cannot receive ({os.strerror(code)})")
