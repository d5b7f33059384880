# SPDX-License-Identifier: Apache-2.0
"""What a captured frame is to a flow: request, reply, an error about it, or none of these.

Classifying reads a few bytes of every frame of every interface; scapy, which parses whole frames,
would take a second for a test of 1,000 packets. What an assertion looks into goes through scapy.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

from harness.topology import Family
from harness.traffic.flow import ICMP_ECHO, ICMP_ECHO_REPLY, ICMP_PROTOCOL, Flow
from harness.watch.capture import Frame

_IPV6_FRAGMENT = 44
REQUEST, REPLY, ERROR = "request", "reply", "error"
_ND = {133: "router-solicitation", 134: "router-advertisement", 135: "solicitation",
       136: "advertisement", 137: "redirect"}  # fmt: skip


def _ip_parts(packet: bytes) -> tuple[Family, int, str, str, bytes] | None:
    """Family, protocol, source, destination and what follows the IP header."""
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        return (
            Family.ipv4, packet[9], socket.inet_ntop(socket.AF_INET, packet[12:16]),
            socket.inet_ntop(socket.AF_INET, packet[16:20]), packet[(packet[0] & 15) * 4 :],
        )  # fmt: skip
    if len(packet) >= 40 and packet[0] >> 4 == 6:
        return (
            Family.ipv6, packet[6], socket.inet_ntop(socket.AF_INET6, packet[8:24]),
            socket.inet_ntop(socket.AF_INET6, packet[24:40]), packet[40:],
        )  # fmt: skip
    return None


def _in_flow(packet: bytes, flow: Flow) -> tuple[str, int | None] | None:  # noqa: C901, PLR0911
    """(request or reply, number) of an IP packet that is the flow's, else None."""
    parts = _ip_parts(packet)
    if parts is None:
        return None
    family, protocol, source, destination, rest = parts
    if family is Family.ipv4 and _is_fragment4(packet):
        return None
    if family is not flow.family or protocol != flow.protocol or len(rest) < 8:
        return None
    if protocol == ICMP_PROTOCOL[family]:
        kind, identity, number = rest[0], *struct.unpack("!HH", rest[4:8])
        if identity != flow.client_port:
            return None
        towards = kind == ICMP_ECHO[family]
        if not flow.is_client(source if towards else destination, identity):
            return None
        if towards and destination == flow.server:
            return REQUEST, number
        if kind == ICMP_ECHO_REPLY[family] and source == flow.server:
            return REPLY, number
        return None
    sport, dport = struct.unpack("!HH", rest[:4])
    number = None
    if protocol == socket.IPPROTO_UDP and len(rest) >= 12:
        number = struct.unpack("!I", rest[8:12])[0]
    elif protocol == socket.IPPROTO_TCP and len(rest) >= 14:
        # Sequence, acknowledgement, flags, and the length: what tells one segment from the next.
        number = int.from_bytes(rest[4:14] + _length(packet))
    if (destination, dport) == (flow.server, flow.server_port) and flow.is_client(source, sport):
        return REQUEST, number
    if (source, sport) == (flow.server, flow.server_port) and flow.is_client(destination, dport):
        return REPLY, number
    return None


def _error_about(packet: bytes, flow: Flow) -> tuple[str, int | None] | None:
    parts = _ip_parts(packet)
    if parts is None:
        return None
    family, protocol, _, _, rest = parts
    if protocol != ICMP_PROTOCOL[family] or len(rest) < 8:
        return None
    is_error = rest[0] < 128 if family is Family.ipv6 else rest[0] in (3, 4, 5, 11, 12)
    quoted = _in_flow(rest[8:], flow) if is_error else None
    return (ERROR, quoted[1]) if quoted else None


def _outside(frame: Frame) -> str:
    """A name for a frame that belongs to no flow."""
    if frame.ethertype == 0x0806:
        return {1: "who-has", 2: "is-at"}.get(int.from_bytes(frame.raw[20:22], "big"), "arp")
    packet = frame.raw[14:]
    parts = _ip_parts(packet)
    if parts is None:
        return "other"
    family, protocol, _, _, rest = parts
    if protocol == _IPV6_FRAGMENT if family is Family.ipv6 else _is_fragment4(packet):
        return "fragment"
    if protocol == socket.IPPROTO_ICMPV6 and rest:
        return _ND.get(rest[0], "other")
    return "other"


def _length(packet: bytes) -> bytes:
    """An IP packet's own word for its length, two bytes; 0 for a GSO packet beyond 64 KiB."""
    return packet[2:4] if packet[0] >> 4 == 4 else packet[4:6]


def _is_fragment4(packet: bytes) -> bool:
    """More fragments, or an offset."""
    return bool(int.from_bytes(packet[6:8], "big") & 0x3FFF)


#: What a frame is: its kind, and which packet of which flow it carries, answers or quotes.
Sighting = tuple[str, tuple[int, int | None] | None]


def look(frame: Frame, flows: Sequence[Flow]) -> Sighting:
    """(kind, (index of the flow, number of its request)), or (kind, None) outside every flow."""
    packet = frame.raw[14:]
    for index, flow in enumerate(flows):
        found = _in_flow(packet, flow) or _error_about(packet, flow)
        if found:
            return found[0], (index, found[1])
    return _outside(frame), None


def classify(frame: Frame, flows: Sequence[Flow]) -> str:
    """What the frame is.

    `request`, `reply`, `error`, `fragment`, `who-has`, `is-at`, `solicitation`, `advertisement`,
    …, or `other`.
    """
    return look(frame, flows)[0]
