# SPDX-License-Identifier: Apache-2.0
"""One captured frame."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.plumbing.errors import CaptureError
from harness.topology import Family
from harness.traffic.headers import (
    ICMP,
    IP,
    TCP,
    UDP,
    Packet,
    but_for_ttl,
    decode,
    internet_checksum,
    pseudo_header,
)

#: pcap-savefile(5): the magic number of files in this machine's byte order → nanoseconds a tick.
_TICKS = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}
_FILE, _RECORD = struct.Struct("=I20x"), struct.Struct("=IIII")


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
        """The whole frame as scapy sees it, which takes a second the first time."""
        # scapy logs a warning for every interface it cannot read a route for.
        logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
        from scapy.layers import inet, inet6, l2  # noqa: F401 - l2 knows them when imported

        return l2.Ether(self.raw)

    @cached_property
    def headers(self) -> Packet:
        """Its headers."""
        return decode(self.raw)

    @property
    def source_mac(self) -> str:
        """Source MAC."""
        return self.headers.ethernet.source if self.headers.ethernet else ""

    @property
    def destination_mac(self) -> str:
        """Destination MAC."""
        return self.headers.ethernet.destination if self.headers.ethernet else ""

    @property
    def ethertype(self) -> int:
        """EtherType, behind VLAN tags; 0 where the frame is too short for one."""
        return self.headers.ethernet.ethertype if self.headers.ethernet else 0

    @property
    def ttl(self) -> int:
        """TTL or hop limit; 0 where there is none."""
        return self.headers.ip.ttl if self.headers.ip else 0

    def but_for_ttl(self) -> bytes:
        """All behind the MACs and EtherType, with TTL and IPv4 header checksum 0.

        What a router passes on unchanged.
        """
        return but_for_ttl(self.raw, self.headers)

    def checksum_faults(self, partial: bool = True) -> list[str]:
        """Which checksums are wrong: empty means all are right.

        Args:
            partial: Whether the senders' checksum offload is on: a checksum left to the NIC then
                holds the pseudo header's sum (CHECKSUM_PARTIAL, include/linux/skbuff.h), and is
                right when that sum is.
        """
        if self.length > len(self.raw):
            return [f"only {len(self.raw)} of {self.length} bytes captured"]
        packet, faults = self.headers, []
        if packet.ip is None:
            return []
        if packet.ip.family is Family.ipv4:
            header = self.raw[packet.network_at : packet.transport_at]
            if internet_checksum(header):
                faults.append("IPv4 header")
        fault = self._transport_fault(packet.ip, partial)
        return [*faults, fault] if fault else faults

    def _transport_fault(self, ip: IP, partial: bool) -> str | None:
        packet, transport = self.headers, self.headers.transport
        # A fragment has no checksum of its own.
        if ip.fragment or not isinstance(transport, ICMP | TCP | UDP):
            return None
        segment = self.raw[packet.transport_at : packet.end]
        icmp4 = isinstance(transport, ICMP) and ip.family is Family.ipv4
        pseudo = b"" if icmp4 else pseudo_header(ip, packet.end - packet.transport_at)
        if internet_checksum(pseudo + segment) == 0:
            return None
        if isinstance(transport, ICMP):
            return "ICMP" if icmp4 else "ICMPv6"
        left_out = isinstance(transport, UDP) and ip.family is Family.ipv4
        if left_out and transport.checksum == 0:
            return None
        if partial and transport.checksum == internet_checksum(pseudo) ^ 0xFFFF:
            return None
        return "TCP" if isinstance(transport, TCP) else "UDP"

    def __str__(self) -> str:
        arrow = "<" if self.direction == "in" else ">"
        return f"{self.interface} {arrow} {self.packet.summary()}"


def read_pcap(path: Path, interface: str, direction: str) -> Iterator[Frame]:
    """The frames of a pcap file, in the order they were seen, up to the first that is not whole.

    Raises:
        CaptureError: It is no pcap file of this machine's.
    """
    content = path.read_bytes()
    magic = _FILE.unpack_from(content)[0] if len(content) >= _FILE.size else 0
    if magic not in _TICKS:
        raise CaptureError(f"{path} is not a pcap file: it begins with {content[:4].hex()!r}")
    tick, at = _TICKS[magic], _FILE.size
    while at + _RECORD.size <= len(content):
        seconds, ticks, captured, length = _RECORD.unpack_from(content, at)
        at += _RECORD.size
        raw, at = content[at : at + captured], at + captured
        if len(raw) < captured:
            return
        yield Frame(interface, direction, seconds * 10**9 + ticks * tick, raw, length)
