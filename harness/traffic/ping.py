# SPDX-License-Identifier: Apache-2.0
"""Pings, from one thread, complete when they return."""

from __future__ import annotations

import ipaddress
import socket
import struct
from contextlib import ExitStack

from harness.plumbing.netns import NetNS
from harness.topology import Family
from harness.traffic.exchange import Exchange, IcmpError, pattern, set_options
from harness.traffic.fence import Fence, pinned
from harness.traffic.flow import (
    ICMP_ECHO,
    ICMP_ECHO_REPLY,
    ICMP_PROTOCOL,
    Flow,
    next_identity,
)


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _echo(family: Family, identity: int, number: int, payload: bytes) -> bytes:
    head = struct.pack("!BBHHH", ICMP_ECHO[family], 0, 0, identity, number & 0xFFFF)
    if family is Family.ipv6:  # the kernel sums it: RFC 3542, 3.1
        return head + payload
    check = _checksum(head + payload)
    return struct.pack("!BBHHH", ICMP_ECHO[family], 0, check, identity, number & 0xFFFF) + payload


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
        fence = stack.enter_context(Fence(ns))
        set_options(sock, family, ttl, df, mark)
        scope = _scope(ns, destination)
        sock.bind((source, 0))
        payload = pattern(size)
        reader = _PingReader(sock, exchange, payload)
        stack.enter_context(pinned())
        for number in range(1, count + 1):
            flow.sent.append(number)
            echo = _echo(family, flow.client_port, number, payload)
            with exchange.sending():
                sock.sendto(echo, (destination, 0, *scope))
            reader.drain()
        fence.pass_()  # also when every reply is there: a second copy may be on its way
        reader.drain()
    return exchange


def _scope(ns: NetNS, destination: str) -> tuple[int, ...]:
    """Flow info and scope id for a link-local or multicast IPv6 destination."""
    if ":" not in destination:
        return ()
    address = ipaddress.ip_address(destination)
    if not (address.is_link_local or address.is_multicast):
        return ()
    links = [link["index"] for link in ns.netlink.get_links() if link["index"] != 1]
    return (0, links[0])
