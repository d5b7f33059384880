# SPDX-License-Identifier: Apache-2.0
"""What a captured frame is to a flow: request, reply or error, in which form; or none of these."""

from __future__ import annotations

from collections.abc import Sequence

from harness.topology import Family
from harness.traffic.flow import NUMBER, Flow
from harness.traffic.form import Form
from harness.traffic.headers import ARP, ETHERTYPE_ARP, ICMP, IP, TCP, UDP, Packet, Ports
from harness.watch.capture import Frame

REQUEST, REPLY, ERROR = "request", "reply", "error"
_ND = {133: "router-solicitation", 134: "router-advertisement", 135: "solicitation",
       136: "advertisement", 137: "redirect"}  # fmt: skip
_HOP_BY_HOP = 0
_Found = tuple[str, int | None] | None  # (kind with its form, number)


def named(kind: str, form: str) -> str:
    """A kind with the form's name as its suffix: `request`, `request.b`."""
    return f"{kind}.{form}" if form else kind


def kind_of(name: str) -> str:
    """A kind without its form."""
    return name.partition(".")[0]


def _in_flow(raw: bytes, packet: Packet, flow: Flow) -> tuple[str, str, int | None] | None:
    """(request or reply, form, number) of an IP packet that is the flow's, else None."""
    ip, transport = packet.ip, packet.transport
    if ip is None or ip.family is not flow.family or ip.protocol != flow.protocol:
        return None
    if ip.fragment or (ip.extensions and not _is_big_tcp(ip)):  # no flow is sent with others
        return None
    for name, form in flow.translations.items():
        if isinstance(transport, ICMP):
            kind = _echo(ip, transport, flow, name, form)
        elif isinstance(transport, (UDP, TCP, Ports)):
            kind = _between(ip, transport, flow, name, form)
        else:
            return None
        if kind:
            return kind, name, _number(raw, packet)
    return None


def _is_big_tcp(ip: IP) -> bool:
    """Whether it is longer than its length can say: TCP that is cut later, behind one header."""
    return ip.extensions == (_HOP_BY_HOP,) and ip.length == 0


def _echo(ip: IP, icmp: ICMP, flow: Flow, name: str, form: Form) -> str | None:
    """Which of the flow's an echo is, in a form."""
    client, (server, _) = flow.ends(form)
    asks = icmp.is_request and (ip.source, ip.destination) == (client, server)
    answers = icmp.is_reply and (ip.source, ip.destination) == (server, client)
    if (asks or answers) and flow.has_port(name, icmp.identity, learn=asks):
        return REQUEST if asks else REPLY
    return None


def _between(ip: IP, ports: UDP | TCP | Ports, flow: Flow, name: str, form: Form) -> str | None:
    """Which of the flow's a datagram or segment is, in a form."""
    client, server = flow.ends(form)
    if ip.source == client and (ip.destination, ports.destination) == server:
        return REQUEST if flow.has_port(name, ports.source, learn=True) else None
    if ip.destination == client and (ip.source, ports.source) == server:
        return REPLY if flow.has_port(name, ports.destination, learn=False) else None
    return None


def _number(raw: bytes, packet: Packet) -> int | None:
    """What tells a packet of a flow from the next; None: a quote is too short to have it."""
    ip, transport = packet.ip, packet.transport
    if isinstance(transport, ICMP):
        return transport.number
    if isinstance(transport, TCP) and ip:
        # Sequence, acknowledgement, flags, and the length: what tells one segment from the next.
        number = transport.sequence << 32 | transport.acknowledgement
        return number << 32 | transport.flags << 16 | ip.length
    if isinstance(transport, UDP) and len(payload := packet.payload(raw)) >= NUMBER.size:
        return int(NUMBER.unpack_from(payload)[0])
    return None


def _found(raw: bytes, packet: Packet, flow: Flow) -> _Found:
    """What a packet is to a flow: one of its own, an error about one, or a tunnel's around one."""
    if found := _in_flow(raw, packet, flow):
        kind, form, number = found
        return named(kind, form), number
    if packet.quote and (quoted := _in_flow(raw, packet.quote, flow)):
        _, form, number = quoted
        return named(ERROR, form), number
    return _carried(raw, packet, flow)


def _carried(raw: bytes, packet: Packet, flow: Flow) -> _Found:
    """What a tunnel's outer packet carries of a flow."""
    inner = _found(raw, packet.inner, flow) if packet.inner else None
    if inner is None or packet.ip is None:
        return None
    ends = (packet.ip.source, packet.ip.destination)
    for name, form in flow.tunnels.items():
        for kind in (REQUEST, REPLY, ERROR):
            there = kind != REPLY and ends == (form.source, form.destination)
            back = kind != REQUEST and ends == (form.destination, form.source)
            same = inner[0] == named(kind, form.carries) and packet.vni == form.vni
            if same and (there or back):
                return named(kind, name), inner[1]
    return None


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
    bare = packet.quote is None and packet.inner is None
    source = packet.ip.source if packet.ip else None
    for index, flow in enumerate(flows):
        if bare and source not in flow.addresses:  # most are another flow's
            continue
        found = _found(frame.raw, packet, flow)
        if found:
            return found[0], (index, found[1])
    return _outside(packet), None


def classify(frame: Frame, flows: Sequence[Flow]) -> str:
    """What the frame is.

    `request`, `reply` or `error`, with the name of its form (`request.b`), or `fragment`,
    `who-has`, `is-at`, `solicitation`, `advertisement`, …, or `other`.
    """
    return look(frame, flows)[0]
