# SPDX-License-Identifier: Apache-2.0
"""Pairs of connected sockets, one end in each of two namespaces. Floor 4."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from harness.errors import TrafficError
from harness.netns import NetNS
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

    def __init__(self, ends: Pair, prepare: Callable[[socket.socket], None] | None = None) -> None:
        """Own them.

        Args:
            ends: The client's and the server's.
            prepare: Makes of each what the traffic needs; should it fail, both are closed.
        """
        self.ends = ends
        try:
            if prepare is not None:
                for end in ends:
                    prepare(end)
        except BaseException:
            self.close()
            raise

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


def let_not_block(sock: socket.socket) -> None:
    """Have calls return at once."""
    sock.setblocking(False)


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
    with ExitStack() as undo:
        try:
            ask = undo.enter_context(client.socket(family.af, socket.SOCK_DGRAM))
            answer = undo.enter_context(server.socket(family.af, socket.SOCK_DGRAM))
            for end, address in zip((ask, answer), addresses, strict=True):
                end.bind((address, 0))
            ask.connect(answer.getsockname())
            answer.connect(ask.getsockname())
        except OSError as error:
            raise _failed(client, server, "UDP", error) from None
        undo.pop_all()
    return ask, answer


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
    with ExitStack() as undo:
        try:
            with server.socket(family.af, socket.SOCK_STREAM) as listener:
                asking = undo.enter_context(client.socket(family.af, socket.SOCK_STREAM))
                for end, address in ((listener, addresses[1]), (asking, addresses[0])):
                    _prepare_tcp(end, window)
                    end.bind((address, 0))
                listener.listen(1)
                asking.connect(listener.getsockname())
                answering = undo.enter_context(listener.accept()[0])
                answering.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise _failed(client, server, "TCP", error) from None
        undo.pop_all()
    return asking, answering


def _prepare_tcp(end: socket.socket, window: int) -> None:
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    if window:
        end.setsockopt(socket.SOL_SOCKET, _SNDBUFFORCE, window)
        end.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, window)
    end.settimeout(_SECONDS)


def _failed(client: NetNS, server: NetNS, protocol: str, error: OSError) -> TrafficError:
    return TrafficError(
        f"{client.name} > {server.name} {protocol}: cannot connect ({error})",
        "does the datapath forward?",
    )
