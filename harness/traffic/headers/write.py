# SPDX-License-Identifier: Apache-2.0
"""Write headers and their checksums; importing scapy for it would take two seconds."""

from __future__ import annotations

import socket
import struct

from harness.topology import Family
from harness.topology.addressing import mac_bytes
from harness.traffic.headers import layout
from harness.traffic.headers.layout import ETHERTYPE, ICMP_ECHO, IP, Packet


def internet_checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071); 0 over data that holds its own, right, checksum."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo_header(ip: IP, size: int) -> bytes:
    """What the checksums of TCP, UDP and ICMPv6 sum besides (RFC 9293, RFC 8200).

    Args:
        ip: The header below.
        size: Of what it carries, bytes.
    """
    packed = (socket.inet_pton(ip.family.af, address) for address in (ip.source, ip.destination))
    return b"".join(packed) + struct.pack("!II", size, ip.protocol)


def but_for_ttl(raw: bytes, packet: Packet) -> bytes:
    """All from the network header on, with TTL and IPv4 header checksum 0.

    What a router passes on unchanged.
    """
    rest = bytearray(raw[packet.network_at :])
    if packet.ip is not None:
        for offset in (8, 10, 11) if packet.ip.family is Family.ipv4 else (7,):
            rest[offset] = 0
    return bytes(rest)


def echo_request(family: Family, identity: int, number: int, payload: bytes) -> bytes:
    """An echo request; of ICMPv6 without its checksum, which the kernel adds (RFC 3542, 3.1)."""
    rest = identity << 16 | number & 0xFFFF
    message = layout.ICMP_LAYOUT.pack(ICMP_ECHO[family], 0, 0, rest) + payload
    if family is Family.ipv6:
        return message
    return layout.ICMP_LAYOUT.pack(ICMP_ECHO[family], 0, internet_checksum(message), rest) + payload


def udp_frame(
    family: Family, macs: tuple[str, str], addresses: tuple[str, str], size: int, ttl: int = 64
) -> bytes:
    """A UDP datagram of zeros, from port 1 to port 2; importing scapy for it takes two seconds.

    Args:
        family: Of both addresses.
        macs: The sender's and the receiver's.
        addresses: The sender's and the receiver's.
        size: Payload, bytes.
        ttl: TTL or hop limit.
    """
    length = layout.UDP_LAYOUT.size + size
    ip = IP(family, *addresses, socket.IPPROTO_UDP, ttl, length)
    datagram = layout.UDP_LAYOUT.pack(1, 2, length, 0) + bytes(size)
    summed = internet_checksum(pseudo_header(ip, length) + datagram) or 0xFFFF  # 0 means none
    source, destination = (socket.inet_pton(family.af, address) for address in addresses)
    if family is Family.ipv6:
        head = layout.IPV6_LAYOUT.pack(6 << 28, length, ip.protocol, ttl, source, destination)
    else:
        fields = (0x45, 0, 20 + length, 0, 0, ttl, ip.protocol)
        check = internet_checksum(layout.IPV4_LAYOUT.pack(*fields, 0, source, destination))
        head = layout.IPV4_LAYOUT.pack(*fields, check, source, destination)
    link = mac_bytes(macs[1]) + mac_bytes(macs[0]) + ETHERTYPE[family].to_bytes(2)
    return link + head + layout.UDP_LAYOUT.pack(1, 2, length, summed) + bytes(size)
