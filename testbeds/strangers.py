# SPDX-License-Identifier: Apache-2.0
"""Packets of protocols that are neither ICMP, TCP nor UDP, and what stands before these two."""

from __future__ import annotations

import struct
from typing import Any

from scapy.layers.inet import IP, UDP, in4_chksum
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrRouting, PadN, in6_chksum
from scapy.layers.sctp import SCTP, SCTPChunkInit
from scapy.packet import Packet, Raw

GRE, ESP, AH, SCTP_, UDP_LITE, UNASSIGNED = 47, 50, 51, 132, 136, 253
_SPI = 0x1234


def strangers(header: Packet) -> list[Packet]:
    """One packet of each protocol, all that a stack on the way may check in order."""
    datagram = UDP(sport=4000, dport=4001) / b"behind something else"
    carried = {
        GRE: struct.pack("!HH", 0, 0x0800) + bytes(20),
        ESP: struct.pack("!II", _SPI, 1) + b"encrypted, so to speak",
        # 24 bytes, which is its own count of words less 2; UDP behind it.
        AH: struct.pack("!BBHII", 17, 4, 0, _SPI, 1) + bytes(12) + bytes(datagram),
        SCTP_: bytes(SCTP(sport=4000, dport=4001, tag=0) / SCTPChunkInit(init_tag=1)),
        UDP_LITE: _udp_lite(header),
        UNASSIGNED: b"RFC 3692 gives 253 to experiments",
    }
    packets = [_carrying(header, number) / Raw(content) for number, content in carried.items()]
    if isinstance(header, IPv6):
        destination_options = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))])
        segments = IPv6ExtHdrRouting(type=4, segleft=0, addresses=[header.dst])
        packets += [header / destination_options / datagram, header / segments / datagram]
    return packets


def _carrying(header: Packet, protocol: int) -> Packet:
    """The header, with a protocol's number in it."""
    changed = header.copy()
    setattr(changed, "nh" if isinstance(header, IPv6) else "proto", protocol)
    return changed


def _udp_lite(header: Packet) -> bytes:
    """RFC 3828: a coverage of 0 is the whole packet, and its checksum may not be left out."""
    ports, content = (4000, 4001), b"a light datagram"
    covered = struct.pack("!HHHH", *ports, 0, 0) + content
    carrier = _carrying(header, UDP_LITE)
    sum_of: Any = in4_chksum if isinstance(carrier, IP) else in6_chksum
    checksum = sum_of(UDP_LITE, carrier, covered)
    return struct.pack("!HHHH", *ports, 0, checksum) + content
