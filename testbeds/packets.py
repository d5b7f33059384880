# SPDX-License-Identifier: Apache-2.0
"""Packets that a test crafts, and the flow they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from harness.testbed import Actor, PodActor
from harness.topology import Family
from harness.traffic import Flow
from harness.traffic.flow import next_identity
from harness.traffic.headers import ICMP_PROTOCOL

_CLASS = 0xB8  # expedited forwarding: DSCP 46, RFC 3246
_LABEL = 0x12345


def ip(family: Family, source: str, destination: str, ttl: int = 64, **fields: Any) -> Packet:
    """An IP header; `fields` are scapy's, of the family's own."""
    if family is Family.ipv4:
        return IP(src=source, dst=destination, ttl=ttl, **fields)
    return IPv6(src=source, dst=destination, hlim=ttl, **fields)


def echo(family: Family, identity: int = 7, number: int = 1) -> Packet:
    """An echo request, to follow an IP header."""
    layer = ICMP if family is Family.ipv4 else ICMPv6EchoRequest
    return layer(id=identity, seq=number)


def framed(source: str, destination: str, content: bytes) -> bytes:
    """The frame of an IP packet, which says itself of which family it is."""
    ethertype = 0x0800 if content[0] >> 4 == Family.ipv4 else 0x86DD
    return bytes(Ether(src=source, dst=destination, type=ethertype)) + content


def from_pod(pod: PodActor, packet: Packet) -> bytes:
    """The frame in which a pod hands a packet to its gateway."""
    return bytes(Ether(src=pod.mac, dst=pod.lxc_mac) / packet)


def echoes(
    pod: PodActor, target: Actor, family: Family, numbers: Sequence[int]
) -> tuple[list[bytes], Flow]:
    """Echo requests of a pod with every field set that a router passes on as it is."""
    identity = next_identity()
    source, destination = pod.address, target.address
    fields: dict[str, Any] = (
        {"tos": _CLASS, "id": 0xBEEF, "flags": "DF"}
        if family is Family.ipv4
        else {"tc": _CLASS, "fl": _LABEL}
    )
    header = ip(family, source, destination, **fields)
    frames = [
        from_pod(pod, header / echo(family, identity, number) / b"as it was sent")
        for number in numbers
    ]
    return frames, Flow(
        family, ICMP_PROTOCOL[family], source, destination, identity, identity, list(numbers)
    )
