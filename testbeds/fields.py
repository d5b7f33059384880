# SPDX-License-Identifier: Apache-2.0
"""Packets with every field that a router passes on as it is, each with a number to know it by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from scapy.layers.inet import TCP, UDP
from scapy.packet import Packet

from harness.topology import Family
from harness.traffic.headers import internet_checksum
from harness.watch.capture import Frame
from testbeds.packets import echo, framed, ip

ETHERNET = 14
_NUMBER = b"number"  # what its number follows in the payload

#: Fields of IP's header, by family. TTLs are more than two, which two nodes leave something of.
_TTLS = (255, 128, 64, 3)
_ECN = (1, 2, 3)
FIELDS: dict[Family, list[dict[str, Any]]] = {
    Family.ipv4: [
        *({"ttl": ttl} for ttl in _TTLS),
        *({"tos": ecn} for ecn in _ECN),
        *({"tos": dscp << 2} for dscp in (8, 46, 63)),
        *({"id": identity} for identity in (0, 0xBEEF, 0xFFFF)),
        *({"flags": flag} for flag in ("DF", "evil")),
        # What a header's sum becomes where one less in the TTL carries over.
        *({"check": check} for check in (0xFEFE, 0xFEFF, 0xFF00, 0xFFFE)),
    ],
    Family.ipv6: [
        *({"ttl": ttl} for ttl in _TTLS),
        *({"tc": ecn} for ecn in _ECN),
        *({"tc": dscp << 2} for dscp in (8, 46, 63)),
        *({"fl": label} for label in (0x12345, 0xFFFFF)),
    ],
}
_LAYERS = ("ping", "datagram", "segment")


@dataclass(frozen=True)
class Crafted:
    """A packet, and what is special about it.

    Attributes:
        name: `datagram of 9 B with tos=1`.
        frame: As its pod sends it.
    """

    name: str
    frame: bytes

    def after(self, hops: int) -> bytes:
        """What arrives, without Ethernet's header, behind so many routers."""
        packet = bytearray(self.frame[ETHERNET:])
        if packet[0] >> 4 == Family.ipv6:
            packet[7] -= hops
            return bytes(packet)
        packet[8] -= hops
        packet[10:12] = bytes(2)
        packet[10:12] = internet_checksum(bytes(packet[:20])).to_bytes(2)
        return bytes(packet)


def layer(family: Family, kind: str, number: int = 0) -> Packet:
    """What IP carries, with a number that its first eight bytes hold."""
    if kind == "ping":
        return echo(family, identity=number)
    if kind == "datagram":
        return UDP(sport=number, dport=4001)
    return TCP(sport=number, dport=4001, seq=0x12345678, flags="PA")


def packet(
    family: Family, ends: tuple[str, str], kind: str, payload: bytes, number: int = 0,
    fields: Mapping[str, Any] | None = None,
) -> bytes:  # fmt: skip
    """An IP packet; `check` among its fields is what IPv4's sum is to come to."""
    given = dict(fields or {})
    check = given.pop("check", None)
    body = layer(family, kind, number) / payload
    if check is not None:  # the sum is over the id, too, which may be any
        before = int.from_bytes(bytes(ip(family, *ends, id=0, **given) / body)[10:12])
        given["id"] = (before - check) % 0xFFFF
    return bytes(ip(family, *ends, **given) / body)


@cache  # the addresses are the plan's: each datapath is sent the same packets
def crafted(family: Family, macs: tuple[str, str], ends: tuple[str, str]) -> Sequence[Crafted]:
    """Every field with every layer, of odd and of even length.

    Args:
        family: Of the addresses.
        macs: The pod's and its lxc's.
        ends: From whose address, to whose.
    """
    rows = [
        (kind, size, fields) for kind in _LAYERS for fields in FIELDS[family] for size in (9, 12)
    ]
    found = []
    for number, (kind, size, fields) in enumerate(rows):
        payload = (_NUMBER + number.to_bytes(2)).ljust(size, b".")
        content = packet(family, ends, kind, payload, 4000, fields)
        text = ", ".join(f"{name}={value}" for name, value in fields.items())
        found.append(Crafted(f"{kind} of {size} B with {text}", framed(*macs, content)))
    if family is Family.ipv4:
        found.append(Crafted("datagram without a checksum", framed(*macs, _unsummed(ends, found))))
    return found


def _unsummed(ends: tuple[str, str], found: Sequence[Crafted]) -> bytes:
    """A datagram that says so little as IPv4 allows: 0 is no checksum (RFC 768)."""
    payload = (_NUMBER + len(found).to_bytes(2)).ljust(9, b".")
    return bytes(ip(Family.ipv4, *ends) / UDP(sport=4000, dport=4001, chksum=0) / payload)


def numbered(frames: Sequence[Frame]) -> Iterator[tuple[int, bytes]]:
    """The number of each crafted packet among some frames, and the packet."""
    for frame in frames:
        at = frame.raw.find(_NUMBER)
        if at >= 0:
            at += len(_NUMBER)
            yield int.from_bytes(frame.raw[at : at + 2]), frame.raw[ETHERNET:]
