# SPDX-License-Identifier: Apache-2.0
"""Pings and datagram exchanges, from one thread, complete when they return."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from harness.plumbing.netns import NetNS
from harness.topology import Family
from harness.traffic.fence import Fence, pinned
from harness.traffic.flow import (
    ICMP_ECHO,
    ICMP_ECHO_REPLY,
    ICMP_PROTOCOL,
    Flow,
    next_identity,
)

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


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _body(size: int) -> bytes:
    """What a packet carries: a pattern, by which it is known again."""
    return bytes(i & 0xFF for i in range(size))


def _echo(family: Family, identity: int, number: int, payload: bytes) -> bytes:
    head = struct.pack("!BBHHH", ICMP_ECHO[family], 0, 0, identity, number & 0xFFFF)
    if family is Family.ipv6:  # the kernel sums it: RFC 3542, 3.1
        return head + payload
    check = _checksum(head + payload)
    return struct.pack("!BBHHH", ICMP_ECHO[family], 0, check, identity, number & 0xFFFF) + payload


def _set_options(sock: socket.socket, family: Family, ttl: int, df: bool, mark: int = 0) -> None:
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


def _icmp_of(family: Family, packet: bytes) -> bytes:
    """The ICMP message; an IPv4 raw socket reads the IP header too (raw(7))."""
    return packet[(packet[0] & 0x0F) * 4 :] if family is Family.ipv4 else packet


def _quoted_number(family: Family, quote: bytes, flow: Flow) -> int | None:
    """The number of the flow's echo that an ICMP error quotes; None: not this flow's."""
    if family is Family.ipv4:
        if len(quote) < 28 or quote[9] != socket.IPPROTO_ICMP:
            return None
        inner = quote[(quote[0] & 0x0F) * 4 :]
    else:
        if len(quote) < 48 or quote[6] != socket.IPPROTO_ICMPV6:
            return None
        inner = quote[40:]
    kind, identity, number = inner[0], *struct.unpack("!HH", inner[4:8])
    if kind != ICMP_ECHO[family] or identity != flow.client_port:
        return None
    return int(number)


def _is_error(family: Family, kind: int) -> bool:
    return kind < 128 if family is Family.ipv6 else kind in (3, 4, 5, 11, 12)


class _PingReader:
    """Sorts what a raw ICMP socket reads into replies and errors of one flow."""

    def __init__(self, sock: socket.socket, exchange: Exchange, payload: bytes) -> None:
        self.sock, self.exchange, self.payload = sock, exchange, payload

    def drain(self) -> None:
        family, flow = self.exchange.flow.family, self.exchange.flow
        while True:
            try:
                packet, sender = self.sock.recvfrom(65535)
            except BlockingIOError:
                return
            message = _icmp_of(family, packet)
            kind, code = message[0], message[1]
            if kind == ICMP_ECHO_REPLY[family]:
                identity, number = struct.unpack("!HH", message[4:8])
                if identity == flow.client_port and sender[0] == flow.server:
                    whole = message[8:] == self.payload
                    (self.exchange.replies if whole else self.exchange.damaged).append(number)
            elif _is_error(family, kind):
                number = _quoted_number(family, message[8:], flow)
                if number is not None:
                    mtu = struct.unpack("!I", message[4:8])[0]
                    mtu = mtu & 0xFFFF if family is Family.ipv4 else mtu
                    told = (3, 4) if family is Family.ipv4 else (2, 0)
                    mtu = mtu if (kind, code) == told else 0
                    self.exchange.errors.append(IcmpError(sender[0], kind, code, mtu, number))


def ping(
    ns: NetNS,
    family: Family,
    source: str,
    destination: str,
    count: int = 1,
    size: int = 56,
    ttl: int = 64,
    df: bool = False,
    mark: int = 0,
    translated: tuple[str, ...] = (),
) -> Exchange:
    """Send echo requests one after the other and collect replies and ICMP errors.

    Returns when every packet has come to its end (see `fence`), however many were lost.

    Args:
        ns: Namespace of the sender.
        family: Address family.
        source: The sender's address.
        destination: Whom to ask.
        count: How many requests.
        size: Payload bytes; the packet is 28 (IPv4) or 48 (IPv6) bytes larger.
        ttl: TTL or hop limit.
        df: Forbid fragmentation, by the sender too; larger packets than the MTU may then fail
            to be sent at all.
        mark: SO_MARK of the sender's socket.
        translated: Addresses the sender may be seen under, where something masquerades.
    """
    identity = next_identity()
    protocol = ICMP_PROTOCOL[family]
    flow = Flow(family, protocol, source, destination, identity, identity, translated=translated)
    exchange = Exchange(flow)
    with ExitStack() as stack:
        sock = stack.enter_context(ns.socket(family.af, socket.SOCK_RAW, ICMP_PROTOCOL[family]))
        fence = stack.enter_context(closing_fence(ns))
        _set_options(sock, family, ttl, df, mark)
        scope = _scope(ns, destination)
        sock.bind((source, 0))
        payload = _body(size)
        reader = _PingReader(sock, exchange, payload)
        stack.enter_context(pinned())
        for number in range(1, count + 1):
            flow.sent.append(number)
            try:
                echo = _echo(family, flow.client_port, number, payload)
                sock.sendto(echo, (destination, 0, *scope))
            except OSError as error:
                exchange.refused.append(errno.errorcode.get(error.errno or 0, str(error)))
            reader.drain()
        fence.pass_()  # also when every reply is there: a second copy may be on its way
        reader.drain()
    return exchange


def closing_fence(ns: NetNS) -> closing[Fence]:
    """A fence as a context manager."""
    return closing(Fence(ns))


def _scope(ns: NetNS, destination: str) -> tuple[int, ...]:
    """Flow info and scope id for a link-local or multicast IPv6 destination."""
    if ":" not in destination:
        return ()
    address = ipaddress.ip_address(destination)
    if not (address.is_link_local or address.is_multicast):
        return ()
    links = [link["index"] for link in ns.netlink.get_links() if link["index"] != 1]
    return (0, links[0])


def datagrams(
    client_ns: NetNS,
    server_ns: NetNS,
    family: Family,
    client: str,
    server: str,
    count: int = 1,
    size: int = 64,
    ttl: int = 64,
    df: bool = False,
    fenced: bool = True,
) -> Exchange:
    """Send UDP datagrams and send each back; the server answers from the same thread.

    Args:
        client_ns: Namespace of the client.
        server_ns: Namespace of the server.
        family: Address family.
        client: The client's address.
        server: The server's address.
        count: How many datagrams.
        size: Payload bytes, at least 4.
        ttl: TTL or hop limit.
        df: Forbid fragmentation.
        fenced: False: if every reply is there, do not wait for second copies.
    """
    flow = Flow(family, socket.IPPROTO_UDP, client, server, next_identity(), next_identity())
    exchange = Exchange(flow)
    with ExitStack() as stack:
        ask = stack.enter_context(client_ns.socket(family.af, socket.SOCK_DGRAM))
        answer = stack.enter_context(server_ns.socket(family.af, socket.SOCK_DGRAM))
        fence = stack.enter_context(closing_fence(client_ns))
        for sock, address, port in (
            (ask, client, flow.client_port),
            (answer, server, flow.server_port),
        ):
            _set_options(sock, family, ttl, df)
            sock.bind((address, port))
        body = _body(size - 4)
        stack.enter_context(pinned())
        for number in range(1, count + 1):
            flow.sent.append(number)
            try:
                ask.sendto(struct.pack("!I", number) + body, (server, flow.server_port))
            except OSError as error:
                exchange.refused.append(errno.errorcode.get(error.errno or 0, str(error)))
            _answer(exchange, ask, answer, body)
        if fenced or len(exchange.replies) != count:
            fence.pass_()
            _answer(exchange, ask, answer, body)
            fence.pass_()
            _answer(exchange, ask, answer, body)
    return exchange


def _answer(exchange: Exchange, ask: socket.socket, answer: socket.socket, body: bytes) -> None:
    """Send back whatever reached the server whole; read whatever reached the client."""

    def note(payload: bytes, whole: list[int]) -> bool:
        undamaged = payload[4:] == body
        number = struct.unpack("!I", payload[:4].ljust(4, b"\0"))[0]
        (whole if undamaged else exchange.damaged).append(number)
        return undamaged

    while True:
        try:
            payload, sender = answer.recvfrom(65535)
        except BlockingIOError:
            break
        if note(payload, exchange.arrived):
            answer.sendto(payload, sender)
    while True:
        try:
            payload = ask.recv(65535)
        except BlockingIOError:
            return
        except ConnectionRefusedError:
            continue
        note(payload, exchange.replies)
