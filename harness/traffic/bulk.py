# SPDX-License-Identifier: Apache-2.0
"""TCP streams between two processes: so many bytes in a turn, or in the background. Floor 4."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.errors import TrafficError
from harness.netns import NetNS
from harness.signals import interruptible
from harness.topology import Family
from harness.traffic.sockets import Connected, let_block, tcp_pair
from harness.traffic.workers import workers

_FLOWING = 1 << 20  # bytes
_FLOWING_SECONDS = 5.0
_TCP_INFO_BYTES = 192  # struct tcp_info, uapi/linux/tcp.h; a kernel gives as much as it has
_TCP_INFO_BYTES_ACKED = 120  # offset of tcpi_bytes_acked, since 4.1
_SO_MAX_PACING_RATE = 47  # uapi/asm-generic/socket.h


@dataclass(frozen=True)
class Transfer:
    """Bytes moved.

    Attributes:
        size: How many.
        seconds: How long the receiver took, from the first byte on.
        cpu: CPU time of both processes, nanoseconds, softirqs on their backs included.
        user: The part of it in user space, as sampled by the kernel's tick.
    """

    size: int
    seconds: float
    cpu: int
    user: int


class BulkFlow(Connected):
    """A TCP connection, and a worker process for each end."""

    def __init__(
        self,
        client: NetNS,
        server: NetNS,
        family: Family,
        addresses: tuple[str, str],
        cpus: tuple[int, int],
        window: int,
    ) -> None:
        """Connect.

        Args:
            client: The namespace that sends.
            server: The namespace that receives.
            family: Of both addresses.
            addresses: The client's and the server's.
            cpus: The CPU of the sender's process and of the receiver's.
            window: Socket buffers of both ends, bytes.

        Raises:
            TrafficError: No connection.
        """
        self._who = (f"sender in {client.name}", f"receiver in {server.name}")
        self._cpus = cpus
        super().__init__(tcp_pair(client, server, family, addresses, window), let_block)

    def move(self, size: int) -> Transfer:
        """Send that many bytes from the client to the server.

        Raises:
            TrafficError: It stalled, a process died or lost its CPU, or the clock erred.
        """
        with workers("client", "server") as (client, server):
            server.begin("drain", self._who[1], self.ends[1:], self._cpus[1:], True, size=size)
            client.begin("pour", self._who[0], self.ends[:1], self._cpus[:1], True, size=size)
            poured, drained = client.result(), server.result()
        spent = [found["cpu"] for found in (poured, drained)]
        cpu, nanoseconds = sum(found["total"] for found in spent), drained["nanoseconds"]
        if min(cpu, nanoseconds) <= 0:
            raise TrafficError(
                f"{self._who[0]}: {size} bytes took {nanoseconds} ns, {cpu} ns of them on a CPU",
                "the machine's clock cannot be trusted",
            )
        return Transfer(size, nanoseconds / 1e9, cpu, sum(found["user"] for found in spent))


class Load:
    """A stream in the background.

    Attributes:
        bits_per_second: What it carried, known once it has ended.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.bits_per_second = 0.0
        self._sock = sock
        self._start, self._before = time.perf_counter(), _acked(sock)

    @property
    def moved(self) -> int:
        """Bytes that have arrived since it was under way."""
        return _acked(self._sock) - self._before

    def end(self) -> None:
        """Take stock, and shut the connection down."""
        self.bits_per_second = 8 * self.moved / (time.perf_counter() - self._start)
        self._sock.shutdown(socket.SHUT_RDWR)


@contextmanager
def loaded(
    client: NetNS,
    server: NetNS,
    family: Family,
    addresses: tuple[str, str],
    cpus: tuple[int, int],
    rate: int,
) -> Iterator[Load]:
    """Let a TCP stream flow from client to server while the block runs.

    Args:
        client: The namespace that sends.
        server: The namespace that receives.
        family: Of both addresses.
        addresses: The client's and the server's.
        cpus: The CPU of the sender's process and of the receiver's.
        rate: What the sender is paced to, bit/s: the same load for every arm.

    Raises:
        TrafficError: It does not flow, or a process died or lost its CPU.
    """
    who = f"load from {client.name}"
    ends = tcp_pair(client, server, family, addresses)
    with ends[0], ends[1], workers("load client", "load server") as (sender, receiver):
        ends[0].setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, struct.pack("=Q", rate // 8))
        for end in ends:
            let_block(end)
        receiver.begin("drain", f"load to {server.name}", ends[1:], cpus[1:], size=0)
        sender.begin("pour", who, ends[:1], cpus[:1], size=0)
        _await_flowing(ends[0], who)
        load = Load(ends[0])
        yield load
        load.end()
        sender.result()
        receiver.result()
    if load.bits_per_second <= 0:
        raise TrafficError(f"{who}: it stood still while it was needed")


def _acked(sock: socket.socket) -> int:
    """Bytes of the stream that the receiver has acknowledged."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    acked: int = struct.unpack_from("=Q", info, _TCP_INFO_BYTES_ACKED)[0]
    return acked


def _await_flowing(sock: socket.socket, who: str) -> None:
    """Wait until the stream is under way."""
    end = time.monotonic() + _FLOWING_SECONDS
    while (acked := _acked(sock)) < _FLOWING:
        if time.monotonic() > end:
            raise TrafficError(f"{who}: {acked} bytes in {_FLOWING_SECONDS:g} s")
        with interruptible():
            time.sleep(0.0005)
