# SPDX-License-Identifier: Apache-2.0
"""Pairs of connected sockets, one end in each of two namespaces."""

from __future__ import annotations

import socket
import struct
from contextlib import closing
from types import TracebackType
from typing import Self

from harness.plumbing.errors import TrafficError
from harness.plumbing.netns import NetNS
from harness.topology import Family

_SECONDS = 5
#: Five seconds as SO_RCVTIMEO and SO_SNDTIMEO take it, struct timeval; then calls fail with EAGAIN.
DEADLINE = struct.pack("@ll", _SECONDS, 0)
Pair = tuple[socket.socket, socket.socket]
# uapi asm-generic/socket.h. The others are cut to the machine's wmem_max and rmem_max in silence,
# 208 KiB by default, and the window would not be the one that a record names.
_SNDBUFFORCE, _RCVBUFFORCE = 32, 33


class Connected:
    """Two connected sockets, one in each of two namespaces; `with` closes them.

    Attributes:
        ends: The client's and the server's.
    """

    def __init__(self, ends: Pair) -> None:
        self.ends = ends

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close both sockets."""
        for end in self.ends:
            end.close()


def let_block(sock: socket.socket) -> None:
    """Let calls wait, in every process that has the socket, but no longer than `DEADLINE`."""
    sock.setblocking(True)
    for name in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        sock.setsockopt(socket.SOL_SOCKET, name, DEADLINE)


def udp_pair(client: NetNS, server: NetNS, family: Family, addresses: tuple[str, str]) -> Pair:
    """Two UDP sockets, each connected to the other.

    Args:
        client: The namespace of the first.
        server: That of the second.
        family: Of both addresses.
        addresses: The client's and the server's.

    Raises:
        TrafficError: An address cannot be had, or there is no route.
    """
    ends: list[socket.socket] = []
    try:
        for ns, address in zip((client, server), addresses, strict=True):
            end = ns.socket(family.af, socket.SOCK_DGRAM)
            ends.append(end)
            end.bind((address, 0))
        ends[0].connect(ends[1].getsockname())
        ends[1].connect(ends[0].getsockname())
    except OSError as error:
        raise _failed(client, server, "UDP", error, *ends) from None
    return ends[0], ends[1]


def tcp_pair(
    client: NetNS,
    server: NetNS,
    family: Family,
    addresses: tuple[str, str],
    window: int = 0,
) -> Pair:
    """The two ends of a TCP connection, Nagle's algorithm off.

    Reno, which every kernel has, and which paces nothing: no timer sends in its stead. On a path
    without loss it does as CUBIC does.

    Args:
        client: The namespace that connects.
        server: The namespace that accepts.
        family: Of both addresses.
        addresses: The client's and the server's.
        window: Socket buffers of both ends, bytes; 0 leaves them to the kernel.

    Raises:
        TrafficError: There was no connection within five seconds.
    """
    ends: list[socket.socket] = []
    try:
        with closing(server.socket(family.af, socket.SOCK_STREAM)) as listener:
            asking = client.socket(family.af, socket.SOCK_STREAM)
            ends.append(asking)
            for end, address in ((listener, addresses[1]), (asking, addresses[0])):
                _prepare_tcp(end, window)
                end.bind((address, 0))
            listener.listen(1)
            asking.connect(listener.getsockname())
            ends.append(listener.accept()[0])
    except OSError as error:
        raise _failed(client, server, "TCP", error, *ends) from None
    ends[1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ends[0], ends[1]


def _prepare_tcp(end: socket.socket, window: int) -> None:
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    if window:
        end.setsockopt(socket.SOL_SOCKET, _SNDBUFFORCE, window)
        end.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, window)
    end.settimeout(_SECONDS)


def _failed(
    client: NetNS, server: NetNS, protocol: str, error: OSError, *ends: socket.socket
) -> TrafficError:
    for end in ends:
        end.close()
    return TrafficError(
        f"{client.name} > {server.name} {protocol}: cannot connect ({error})",
        "does the datapath forward?",
    )
