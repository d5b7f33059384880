# SPDX-License-Identifier: Apache-2.0
"""Pings, from one thread, complete when they return."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from contextlib import ExitStack

from harness.plumbing.netns import NetNS
from harness.topology import Family
from harness.traffic.exchange import Exchange, IcmpError, pattern, set_options
from harness.traffic.fence import Fence, pinned
from harness.traffic.flow import Flow, next_identity
from harness.traffic.form import NO_FORMS, AnyForm
from harness.traffic.headers import ICMP, ICMP_PROTOCOL, decode_icmp, decode_ip, echo_request


class _PingReader:
    """Sorts what a raw ICMP socket reads into replies and errors of one flow."""

    def __init__(self, sock: socket.socket, exchange: Exchange, payload: bytes) -> None:
        self.sock, self.exchange, self.payload = sock, exchange, payload

    def drain(self) -> None:
        """Read what is there."""
        while True:
            try:
                raw, sender = self.sock.recvfrom(65535)
            except BlockingIOError:
                return
            self._sort(raw, sender[0])

    def _sort(self, raw: bytes, sender: str) -> None:
        flow, family = self.exchange.flow, self.exchange.flow.family
        # An IPv4 raw socket reads the IP header too (raw(7)).
        packet = decode_ip(raw) if family is Family.ipv4 else decode_icmp(family, raw)
        icmp = packet.transport
        if not isinstance(icmp, ICMP):
            return
        if icmp.is_reply and icmp.identity == flow.client_port and sender == flow.server:
            whole = packet.payload(raw) == self.payload
            (self.exchange.replies if whole else self.exchange.damaged).append(icmp.number)
        echo = packet.quote.transport if packet.quote else None
        if isinstance(echo, ICMP) and echo.is_request and echo.identity == flow.client_port:
            error = IcmpError(sender, icmp.type, icmp.code, icmp.mtu, echo.number)
            self.exchange.errors.append(error)


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
    forms: Mapping[str, AnyForm] = NO_FORMS,
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
        forms: How the packets look where something translates them; see `Form`.
    """
    identity = next_identity()
    protocol = ICMP_PROTOCOL[family]
    flow = Flow(family, protocol, source, destination, identity, identity, forms=forms)
    exchange = Exchange(flow)
    with ExitStack() as stack:
        sock = stack.enter_context(ns.socket(family.af, socket.SOCK_RAW, protocol))
        fence = stack.enter_context(Fence(ns))
        set_options(sock, family, ttl, df, mark)
        scope = _scope(ns, destination)
        sock.bind((source, 0))
        payload = pattern(size)
        reader = _PingReader(sock, exchange, payload)
        stack.enter_context(pinned())
        for number in range(1, count + 1):
            flow.sent.append(number)
            echo = echo_request(family, identity, number, payload)
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
