# SPDX-License-Identifier: Apache-2.0
"""One captured frame, parsed by scapy when asked."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

# scapy logs a warning for every interface it cannot read a route for.
logging.getLogger("scapy.runtime").setLevel(logging.ERROR)

from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: E402
from scapy.layers.inet6 import IPv6  # noqa: E402
from scapy.layers.l2 import ARP, Ether  # noqa: E402
from scapy.utils import RawPcapReader, checksum  # noqa: E402

__all__ = ["ARP", "ICMP", "IP", "TCP", "UDP", "Ether", "Frame", "IPv6", "read_pcap"]


@dataclass(frozen=True)
class Frame:
    """A frame on an interface.

    Attributes:
        interface: `pod1:eth0`.
        direction: `in` or `out`, seen from the namespace.
        time: Nanoseconds since the epoch.
        raw: Its bytes, as many as were captured.
        length: Its length on the interface, bytes.
    """

    interface: str
    direction: str
    time: int
    raw: bytes
    length: int

    @cached_property
    def packet(self) -> Any:
        """The whole frame as scapy sees it."""
        return Ether(self.raw)

    @property
    def source_mac(self) -> str:
        """Source MAC."""
        return self.raw[6:12].hex(":")

    @property
    def destination_mac(self) -> str:
        """Destination MAC."""
        return self.raw[0:6].hex(":")

    @property
    def ethertype(self) -> int:
        """EtherType."""
        return int.from_bytes(self.raw[12:14], "big")

    @property
    def ttl(self) -> int:
        """TTL or hop limit; 0 where there is none."""
        offset = {0x0800: 22, 0x86DD: 21}.get(self.ethertype)
        return self.raw[offset] if offset else 0

    def but_for_ttl(self) -> bytes:
        """All behind the MACs and EtherType, with TTL and IPv4 header checksum 0.

        What a router passes on unchanged.
        """
        packet = bytearray(self.raw[14:])
        changed = {0x0800: (8, 10, 11), 0x86DD: (7,)}.get(self.ethertype, ())
        for offset in changed:
            packet[offset] = 0
        return bytes(packet)

    def checksum_faults(self, partial: bool = True) -> list[str]:
        """Which checksums are wrong: empty means all are right.

        Args:
            partial: Whether the senders' checksum offload is on: a checksum left to the NIC then
                holds the pseudo header's sum (CHECKSUM_PARTIAL, include/linux/skbuff.h), and is
                right when that sum is.
        """
        if self.length > len(self.raw):
            return [f"only {len(self.raw)} of {self.length} bytes captured"]
        faults = []
        if self.ethertype == 0x0800:
            header = self.raw[14 : 14 + (self.raw[14] & 0x0F) * 4]
            if checksum(header):
                faults.append("IPv4 header")
        fault = self._l4_fault(partial)
        return [*faults, fault] if fault else faults

    def _l4_fault(self, partial: bool) -> str | None:  # noqa: PLR0911 - one return a kind of frame
        ipv4 = self.ethertype == 0x0800
        if ipv4:
            offset = 14 + (self.raw[14] & 0x0F) * 4
            size = int.from_bytes(self.raw[16:18], "big") - (offset - 14)
            protocol, addresses = self.raw[23], self.raw[26:34]
            if int.from_bytes(self.raw[20:22], "big") & 0x3FFF:
                return None  # a fragment has no checksum of its own
        elif self.ethertype == 0x86DD:
            offset, size = 54, int.from_bytes(self.raw[18:20], "big")
            protocol, addresses = self.raw[20], self.raw[22:54]
            if protocol == 44:
                return None
        else:
            return None
        names = {1: "ICMP", 58: "ICMPv6", 6: "TCP", 17: "UDP"}
        if protocol not in names:
            return None
        segment = self.raw[offset : offset + size]
        pseudo = (
            b""
            if protocol == 1
            else addresses + size.to_bytes(4, "big") + bytes((0, 0, 0, protocol))
        )
        where = {1: 2, 58: 2, 6: 16, 17: 6}[protocol]
        held = int.from_bytes(segment[where : where + 2], "big")
        if checksum(pseudo + segment) == 0 or (protocol == 17 and ipv4 and held == 0):
            return None
        if partial and protocol in (6, 17) and held == checksum(pseudo) ^ 0xFFFF:
            return None
        return names[protocol]

    def __str__(self) -> str:
        arrow = "<" if self.direction == "in" else ">"
        return f"{self.interface} {arrow} {self.packet.summary()}"


def read_pcap(path: Path, interface: str, direction: str) -> Iterator[Frame]:
    """The frames of a pcap file, in the order they were seen."""
    with RawPcapReader(str(path)) as reader:
        scale = 1 if reader.nano else 1000
        for raw, meta in reader:
            yield Frame(
                interface, direction, meta.sec * 10**9 + meta.usec * scale, raw, meta.wirelen
            )
