# SPDX-License-Identifier: Apache-2.0
"""What pings and datagrams share: the result of an exchange, and the options of its sockets."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from harness.topology import Family
from harness.traffic.flow import Flow

# setsockopt numbers that the socket module lacks (uapi/linux/in.h, in6.h).
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _IPV6_DONTFRAG = 10, 23, 62
_PMTUDISC_DONT, _PMTUDISC_PROBE = 0, 3
_BUFFER = 1 << 22


@dataclass(frozen=True)
class IcmpError:
    """An ICMP error about a flow, as its sender received it.

    Attributes:
        source: Who says it.
        type: ICMP or ICMPv6 type.
        code: Its code.
        mtu: Next-hop MTU of a frag-needed or packet-too-big, else 0.
        number: Number of the request it quotes, where the quote is an echo's.
    """

    source: str
    type: int
    code: int
    mtu: int = 0
    number: int | None = None


@dataclass
class Exchange:
    """What became of a flow's packets.

    Attributes:
        flow: The flow, with the numbers sent.
        arrived: Numbers of requests that the server's own socket read (datagrams only).
        replies: Numbers of the replies, in the order the client read them.
        damaged: Numbers of packets that were read with another payload than was sent; they count
            neither as arrived nor as replies.
        errors: ICMP errors the client received.
        refused: errno names with which the client's own kernel refused to send.
    """

    flow: Flow
    arrived: list[int] = field(default_factory=list)
    replies: list[int] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)
    errors: list[IcmpError] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Note that the client's own kernel refuses to send, instead of failing."""
        try:
            yield
        except OSError as error:
            self.refused.append(errno.errorcode.get(error.errno or 0, str(error)))

    @property
    def lost(self) -> int:
        """Requests without a reply."""
        return len(set(self.flow.sent) - set(self.replies))

    def __str__(self) -> str:
        text = f"{self.flow}, {len(self.replies)} replies"
        if self.damaged:
            text += f", another payload than was sent in {self.damaged}"
        if self.errors:
            text += ", ICMP errors " + ", ".join(
                f"{e.type}/{e.code} from {e.source}" for e in self.errors
            )
        return text + (f", refused by the sender's kernel: {self.refused}" if self.refused else "")


def pattern(size: int) -> bytes:
    """What a packet carries: a pattern, by which it is known again."""
    return bytes(i & 0xFF for i in range(size))


def set_options(sock: socket.socket, family: Family, ttl: int, df: bool, mark: int = 0) -> None:
    """Make a socket non-blocking, with a large buffer and the given TTL, DF and mark."""
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    if mark:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
    mode = _PMTUDISC_PROBE if df else _PMTUDISC_DONT
    if family is Family.ipv4:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, mode)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, mode)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_DONTFRAG, int(df))
