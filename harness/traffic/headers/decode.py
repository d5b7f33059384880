# SPDX-License-Identifier: Apache-2.0
"""Read headers: fast enough for every frame of every capture, and never failing."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from functools import lru_cache, partial

from harness.topology import Family
from harness.traffic.headers import layout
from harness.traffic.headers.layout import (
    ARP,
    ETHERTYPE,
    ETHERTYPE_ARP,
    ICMP,
    IP,
    TCP,
    UDP,
    Ethernet,
    Fragment,
    Packet,
    Ports,
    Transport,
)

_FAMILIES = {ethertype: family for family, ethertype in ETHERTYPE.items()}
_TAGS = {0x8100, 0x88A8}  # 802.1Q, 802.1ad
_SOLICITATION, _ADVERTISEMENT = 135, 136  # RFC 4861
_FRAGMENT, _AUTHENTICATION = 44, 51
_VNI_VALID = 0x08  # the I flag, RFC 7348, 5
#: Hop-by-hop, routing, destination options, mobility, HIP, shim6: RFC 6564's common format.
_EXTENSIONS = {0, 43, 60, 135, 139, 140, _FRAGMENT, _AUTHENTICATION}


@lru_cache(maxsize=4096)
def _mac(raw: bytes) -> str:
    return raw.hex(":")


@lru_cache(maxsize=4096)
def _address(raw: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


@lru_cache(maxsize=256)  # both ends of a veth pair see the same bytes, one soon after the other
def decode(frame: bytes) -> Packet:
    """The headers of an Ethernet frame, and those of the frame that it carries in a tunnel."""
    packet = _frame(frame, 0)
    return _decapsulated(frame, packet) if isinstance(packet.transport, UDP) else packet


def _frame(raw: bytes, start: int) -> Packet:
    if len(raw) < start + 14:
        return Packet(None, None, None, start, start, start, len(raw))
    ethertype, at = int.from_bytes(raw[start + 12 : start + 14]), start + 14
    tags: tuple[int, ...] = ()
    while ethertype in _TAGS and len(raw) >= at + 4:
        tags += (int.from_bytes(raw[at : at + 2]) & 0x0FFF,)
        ethertype, at = int.from_bytes(raw[at + 2 : at + 4]), at + 4
    target, source = raw[start : start + 6], raw[start + 6 : start + 12]
    ethernet = Ethernet(_mac(target), _mac(source), ethertype, tags)
    if ethertype in _FAMILIES:
        return _ip(raw, at, _FAMILIES[ethertype], ethernet)
    arp = _arp(raw, at) if ethertype == ETHERTYPE_ARP else None
    return Packet(ethernet, arp, None, at, at, at, len(raw))


def _decapsulated(raw: bytes, packet: Packet) -> Packet:
    """The packet, with what it carries if it is VXLAN's with a valid VNI (RFC 7348, 5)."""
    udp, at = packet.transport, packet.payload_at
    if not isinstance(udp, UDP) or udp.destination not in layout.VXLAN_PORTS or len(raw) < at + 8:
        return packet
    flags, number = layout.VXLAN_LAYOUT.unpack_from(raw, at)
    if not flags & _VNI_VALID:
        return packet
    return packet._replace(inner=_frame(raw, at + 8), vni=number >> 8)


def decode_ip(packet: bytes) -> Packet:
    """The headers of an IP packet, which says itself of which family it is."""
    version = packet[0] >> 4 if packet else 0
    return _ip(packet, 0, Family.ipv6 if version == 6 else Family.ipv4)


def decode_icmp(family: Family, message: bytes) -> Packet:
    """The header of an ICMP message, and what it quotes."""
    transport, payload_at = _icmp(family, message, 0, len(message))
    packet = Packet(None, None, transport, 0, 0, payload_at, len(message))
    return _with_quote(message, packet)


def _arp(raw: bytes, at: int) -> ARP | None:
    if len(raw) < at + layout.ARP_LAYOUT.size:
        return None
    *kind, operation, sender_mac, sender, target_mac, target = layout.ARP_LAYOUT.unpack_from(
        raw, at
    )
    if kind != [1, ETHERTYPE[Family.ipv4], 6, 4]:  # Ethernet and IPv4, and their lengths
        return None
    return ARP(operation, _mac(sender_mac), _address(sender), _mac(target_mac), _address(target))


def _ip(
    raw: bytes, at: int, family: Family, ethernet: Ethernet | None = None, quoted: bool = False
) -> Packet:
    found = (_ipv4 if family is Family.ipv4 else _ipv6)(raw, at)
    if found is None:
        return Packet(ethernet, None, None, at, at, at, len(raw))
    ip, transport_at, end = found
    transport, payload_at = None, transport_at
    if not (ip.fragment and ip.fragment.offset) and (read := _TRANSPORTS[family].get(ip.protocol)):
        transport, payload_at = read(raw, transport_at, end)
    packet = Packet(ethernet, ip, transport, at, transport_at, payload_at, end)
    return _with_quote(raw, packet) if isinstance(transport, ICMP) and not quoted else packet


def _with_quote(raw: bytes, packet: Packet) -> Packet:
    """The packet, with what it quotes if it is an ICMP error."""
    icmp = packet.transport
    if not isinstance(icmp, ICMP) or not icmp.is_error:
        return packet
    quote = _ip(raw, packet.payload_at, icmp.family, quoted=True)
    return packet._replace(quote=quote)


def _ipv4(raw: bytes, at: int) -> tuple[IP, int, int] | None:
    """The header, where it ends, and where the packet ends."""
    if len(raw) < at + 20:
        return None
    first, _, length, _, part, ttl, protocol, _, source, destination = (
        layout.IPV4_LAYOUT.unpack_from(raw, at)
    )
    size = (first & 15) * 4
    if first >> 4 != 4 or size < 20 or len(raw) < at + size:
        return None
    fragment = Fragment((part & 0x1FFF) * 8, bool(part & 0x2000)) if part & 0x3FFF else None
    ip = IP(Family.ipv4, _address(source), _address(destination), protocol, ttl, length, fragment)
    return ip, at + size, at + length if length else len(raw)


def _ipv6(raw: bytes, at: int) -> tuple[IP, int, int] | None:
    """The header with its extensions, where those end, and where the packet ends."""
    if len(raw) < at + 40:
        return None
    first, length, following, ttl, source, destination = layout.IPV6_LAYOUT.unpack_from(raw, at)
    if first >> 28 != 6:
        return None
    end, at = at + 40 + length if length else len(raw), at + 40
    fragment, extensions = None, []
    while following in _EXTENSIONS and len(raw) >= at + 8:
        extensions.append(following)
        size = (raw[at + 1] + 1) * 8
        if following == _FRAGMENT:
            part = int.from_bytes(raw[at + 2 : at + 4])
            fragment, size = Fragment(part & 0xFFF8, bool(part & 1)), 8
        elif following == _AUTHENTICATION:
            size = (raw[at + 1] + 2) * 4
        following, at = raw[at], at + size
        if fragment and fragment.offset:  # what follows is the middle of something
            break
    family = Family.ipv6
    ip = IP(family, _address(source), _address(destination), following, ttl, length, fragment,
            tuple(extensions))  # fmt: skip
    return ip, at, end


_Read = tuple[Transport | None, int]  # the header, and where its payload begins


def _udp(raw: bytes, at: int, end: int) -> _Read:
    if min(len(raw), end) < at + 8:
        return None, at
    return UDP(*layout.UDP_LAYOUT.unpack_from(raw, at)), at + 8


def _tcp(raw: bytes, at: int, end: int) -> _Read:
    room = min(len(raw), end) - at
    if room < 20:
        ports = Ports(*struct.unpack_from("!HH", raw, at)) if room >= 8 else None
        return ports, at + max(room, 0)
    *fields, _ = layout.TCP_LAYOUT.unpack_from(raw, at)
    tcp = TCP(*fields)
    return tcp, at + max(tcp.flags >> 12, 5) * 4


def _icmp(family: Family, raw: bytes, at: int, end: int) -> _Read:
    room = min(len(raw), end) - at
    if room < 8:
        return None, at
    kind, code, checksum, rest = layout.ICMP_LAYOUT.unpack_from(raw, at)
    discovery = family is Family.ipv6 and kind in (_SOLICITATION, _ADVERTISEMENT)
    target = _address(raw[at + 8 : at + 24]) if discovery and room >= 24 else ""
    return ICMP(family, kind, code, checksum, rest, target), at + 8


_SHARED: dict[int, Callable[[bytes, int, int], _Read]] = {
    socket.IPPROTO_TCP: _tcp,
    socket.IPPROTO_UDP: _udp,
}
_TRANSPORTS = {
    family: _SHARED | {protocol: partial(_icmp, family)}
    for family, protocol in layout.ICMP_PROTOCOL.items()
}
