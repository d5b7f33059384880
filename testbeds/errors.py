# SPDX-License-Identifier: Apache-2.0
"""Packets that a router answers with an ICMP error, and what that error must say of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.testbed import PodActor
from harness.topology import Family
from harness.traffic.headers import ICMP, TCP, UDP, Packet, Ports
from harness.watch.capture import Frame
from testbeds.fields import ETHERNET, packet
from testbeds.packets import framed

#: A router's error is no longer than this (RFC 1812, 4.3.2.3; RFC 4443, 2.4(c)).
LONGEST = {4: 576, 6: 1280}
HEADERS = {4: 28, 6: 48}  # IP and ICMP; of a quote, IP and 8 bytes
_LAYERS = ("ping", "datagram", "segment")
#: Fields of packets whose class an error must not take over: DSCP 46 and ECN.
CLASSED: dict[int, dict[str, Any]] = {4: {"tos": 0xB9}, 6: {"tc": 0xB9}}
#: What it must be instead: of IPv4, precedence 6 or 7 (RFC 1812, 4.3.2.5); of both, no ECN, which
#: only a transport may claim (RFC 3168, 6.1.1).
CLASS_OF_ERRORS: dict[int, Callable[[int], bool]] = {
    4: lambda tos: tos >> 5 in (6, 7) and not tos & 3,
    6: lambda tos: not tos & 3,
}


@dataclass(frozen=True)
class Refused:
    """A packet that a router refuses.

    Attributes:
        name: `datagram of 57 B, TTL 1`.
        frame: As its pod sends it.
        number: In its layer's first eight bytes, which any error quotes.
    """

    name: str
    frame: bytes
    number: int

    @property
    def content(self) -> bytes:
        """The packet, without Ethernet's header."""
        return self.frame[ETHERNET:]

    @property
    def family(self) -> Family:
        """Of its addresses."""
        return Family(self.content[0] >> 4)


def refused(
    pod: PodActor, target: str, sizes: Sequence[int], ttls: Sequence[int],
    fields: Mapping[str, Any] | None = None, macs: tuple[str, str] | None = None,
) -> list[Refused]:  # fmt: skip
    """Of every layer one of each size and TTL.

    Args:
        pod: Who sends them.
        target: To which address.
        sizes: Of what the layer carries, bytes.
        ttls: TTLs or hop limits.
        fields: What else IP's header says.
        macs: From whose to whose; the pod's and its lxc's by default.
    """
    source, destination = macs or (pod.mac, pod.lxc_mac)
    rows = [(kind, size, ttl) for kind in _LAYERS for size in sizes for ttl in ttls]
    found = []
    for number, (kind, size, ttl) in enumerate(rows, 1000):
        payload = bytes(at & 0xFF for at in range(1, size + 1))
        ends, given = (pod.address, target), {"ttl": ttl, **(fields or {})}
        content = packet(pod.family, ends, kind, payload, number, given)
        frame = framed(source, destination, content)
        found.append(Refused(f"{kind} of {size} B, TTL {ttl}", frame, number))
    return found


def errors(frames: Sequence[Frame], where: str) -> list[Frame]:
    """The ICMP errors that enter an interface."""
    return [
        frame
        for frame in frames
        if (frame.interface, frame.direction) == (where, "in")
        and isinstance(frame.headers.transport, ICMP)
        and frame.headers.transport.is_error
    ]


def number_of(quote: Packet | None) -> int:
    """The number of the packet that an error quotes; 0: it quotes none of those."""
    transport = quote.transport if quote else None
    if isinstance(transport, ICMP):
        return transport.identity
    if isinstance(transport, UDP | TCP | Ports):
        return transport.source
    return 0


def matched(packets: Sequence[Refused], found: Sequence[Frame]) -> Iterator[tuple[Refused, Frame]]:
    """Each error with the packet that it quotes."""
    by_number = {each.number: each for each in packets}
    for frame in found:
        each = by_number.get(number_of(frame.headers.quote))
        if each is not None:
            yield each, frame


def kind(frame: Frame) -> tuple[int, int]:
    """Its type and code."""
    icmp = frame.headers.transport
    assert isinstance(icmp, ICMP)
    return icmp.type, icmp.code


def quote(frame: Frame) -> bytes:
    """All that an error quotes."""
    return frame.raw[frame.headers.payload_at : frame.headers.end]


def whole_quote(family: Family, packet: Refused) -> bytes:
    """As much of a packet as an error may quote."""
    return packet.content[: LONGEST[family] - HEADERS[family]]


def begins(packet: Refused, quoted: bytes) -> bool:
    """Whether a packet begins with what an error quotes: its header and 8 bytes at least."""
    return quoted == packet.content[: len(quoted)] and len(quoted) >= HEADERS[packet.family]


def traffic_class(frame: Frame) -> int:
    """TOS, or IPv6's traffic class, ECN bits and all."""
    first = int.from_bytes(frame.raw[ETHERNET : ETHERNET + 2])
    return first & 0xFF if first >> 12 == Family.ipv4 else first >> 4 & 0xFF
