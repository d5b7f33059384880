# SPDX-License-Identifier: Apache-2.0
"""What a captured frame is to a flow: request, reply, an error about it, or none of these."""

from __future__ import annotations

from collections.abc import Sequence

from harness.topology import Family
from harness.traffic.flow import NUMBER, Flow
from harness.traffic.headers import ARP, ETHERTYPE_ARP, ICMP, IP, TCP, UDP, Packet, Ports
from harness.watch.capture import Frame

REQUEST, REPLY, ERROR = "request", "reply", "error"
_ND = {133: "router-solicitation", 134: "router-advertisement", 135: "solicitation",
       136: "advertisement", 137: "redirect"}  # fmt: skip
_HOP_BY_HOP = 0
_Found = tuple[str, int | None] | None  # (request, reply or error, number)


def _in_flow(raw: bytes, packet: Packet, flow: Flow) -> _Found:
    """(request or reply, number) of an IP packet that is the flow's, else None."""
    ip, transport = packet.ip, packet.transport
    if ip is None or ip.family is not flow.family or ip.protocol != flow.protocol:
        return None
    if ip.fragment or (ip.extensions and not _is_big_tcp(ip)):  # no flow is sent with others
        return None
    if isinstance(transport, ICMP):
        kind = _echo(ip, transport, flow)
        return (kind, transport.number) if kind else None
    if isinstance(transport, (UDP, TCP, Ports)):
        kind = _between(ip, transport, flow)
        return (kind, _number(raw, packet)) if kind else None
    return None


def _is_big_tcp(ip: IP) -> bool:
    """Whether it is longer than its length can say: TCP that is cut later, behind one header."""
    return ip.extensions == (_HOP_BY_HOP,) and ip.length == 0


def _echo(ip: IP, icmp: ICMP, flow: Flow) -> str | None:
    """Which of the flow's an echo is."""
    client = ip.source if icmp.is_request else ip.destination
    if icmp.identity == flow.client_port and flow.is_client(client, icmp.identity):
        if icmp.is_request and ip.destination == flow.server:
            return REQUEST
        if icmp.is_reply and ip.source == flow.server:
            return REPLY
    return None


def _between(ip: IP, ports: UDP | TCP | Ports, flow: Flow) -> str | None:
    """Which of the flow's a datagram or segment is."""
    source, destination = (ip.source, ports.source), (ip.destination, ports.destination)
    server = (flow.server, flow.server_port)
    if destination == server and flow.is_client(*source):
        return REQUEST
    if source == server and flow.is_client(*destination):
        return REPLY
    return None


def _number(raw: bytes, packet: Packet) -> int | None:
    """What tells a packet of a flow from the next; None: a quote is too short to have it."""
    ip, transport = packet.ip, packet.transport
    if isinstance(transport, TCP) and ip:
        # Sequence, acknowledgement, flags, and the length: what tells one segment from the next.
        number = transport.sequence << 32 | transport.acknowledgement
        return number << 32 | transport.flags << 16 | ip.length
    if isinstance(transport, UDP) and len(payload := packet.payload(raw)) >= NUMBER.size:
        return int(NUMBER.unpack_from(payload)[0])
    return None


def _error_about(raw: bytes, packet: Packet, flow: Flow) -> _Found:
    quoted = _in_flow(raw, packet.quote, flow) if packet.quote else None
    return (ERROR, quoted[1]) if quoted else None


def _outside(packet: Packet) -> str:
    """A name for a frame that belongs to no flow."""
    if packet.ethernet and packet.ethernet.ethertype == ETHERTYPE_ARP:
        operation = packet.network.operation if isinstance(packet.network, ARP) else 0
        return {1: "who-has", 2: "is-at"}.get(operation, "arp")
    if packet.ip and packet.ip.fragment:
        return "fragment"
    if isinstance(packet.transport, ICMP) and packet.transport.family is Family.ipv6:
        return _ND.get(packet.transport.type, "other")
    return "other"


#: What a frame is: its kind, and which packet of which flow it carries, answers or quotes.
Sighting = tuple[str, tuple[int, int | None] | None]


def look(frame: Frame, flows: Sequence[Flow]) -> Sighting:
    """(kind, (index of the flow, number of its request)), or (kind, None) outside every flow."""
    packet = frame.headers
    if packet.ethernet and packet.ethernet.tags:  # nothing that the harness sends is tagged
        return "other", None
    for index, flow in enumerate(flows):
        found = _in_flow(frame.raw, packet, flow) or _error_about(frame.raw, packet, flow)
        if found:
            return found[0], (index, found[1])
    return _outside(packet), None


def classify(frame: Frame, flows: Sequence[Flow]) -> str:
    """What the frame is.

    `request`, `reply`, `error`, `fragment`, `who-has`, `is-at`, `solicitation`, `advertisement`,
    …, or `other`.
    """
    return look(frame, flows)[0]
