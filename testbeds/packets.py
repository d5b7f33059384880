# SPDX-License-Identifier: Apache-2.0
"""Packets that a test crafts, and the flow they belong to."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from harness.testbed import Actor, PodActor
from harness.topology import Family
from harness.traffic import Flow
from harness.traffic.flow import NUMBER, next_identity
from harness.traffic.form import NO_FORMS, AnyForm
from harness.traffic.headers import ICMP_PROTOCOL
from harness.watch.capture import Frame
from harness.watch.legs import look

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


def handed(sender: Actor, target: PodActor, packet: Packet) -> bytes:
    """The frame in which a pod or the world hands a packet for a pod to its next hop."""
    if isinstance(sender, PodActor):
        return from_pod(sender, packet)
    return bytes(Ether(src=sender.macs["eth0"], dst=target.node.macs["enp0s8"]) / packet)


def number_of(frame: bytes, flow: Flow) -> int:
    """What tells a crafted packet of a flow from the next, as `Flow.sent` has it."""
    _, found = look(Frame("", "out", 0, frame, len(frame)), [flow])
    return (found and found[1]) or 0


def probe(
    pod: PodActor,
    destination: str,
    ttl: int = 64,
    size: int = 0,
    forms: Mapping[str, AnyForm] = NO_FORMS,
) -> None:
    """Send a datagram and a TCP segment that may not be fragmented to where nobody listens.

    A capture knows them as flows, as it knows a ping.

    Args:
        pod: Who sends.
        destination: An address.
        ttl: TTL or hop limit.
        size: Of each packet, bytes; by default what the headers take.
        forms: How the packets look where something translates them; see `Form`.
    """
    fields = {"flags": "DF"} if pod.family is Family.ipv4 else {}
    header = ip(pod.family, pod.address, destination, ttl, **fields)
    for protocol, layer in ((socket.IPPROTO_UDP, UDP), (socket.IPPROTO_TCP, TCP)):
        ports = next_identity(), next_identity()
        packet = header / layer(sport=ports[0], dport=ports[1]) / NUMBER.pack(1)
        packet /= bytes(max(size - len(packet), 0))
        frame = from_pod(pod, packet)
        flow = Flow(pod.family, protocol, pod.address, destination, *ports, forms=forms)
        flow.sent.append(number_of(frame, flow))
        pod.inject("eth0", [frame], flow)


def fragments(packet: Packet, number: int, size: int = 24) -> list[Packet]:
    """An IP packet without extension headers in fragments that carry `size` bytes, eights of them.

    `number` is what they have in common. IPv6's header says itself what it carries.
    """
    whole = type(packet)(bytes(packet))  # every field computed
    carried = bytes(whole.payload)
    parts = [carried[at : at + size] for at in range(0, len(carried), size)]
    pieces: list[Packet] = []
    for index, part in enumerate(parts):
        offset, more = index * size // 8, int(index < len(parts) - 1)
        header = whole.copy()
        header.remove_payload()
        if isinstance(whole, IP):
            header.id, header.flags, header.frag, header.len, header.chksum = (
                number, more, offset, None, None,
            )  # fmt: skip
        else:
            extension = IPv6ExtHdrFragment(nh=whole.nh, offset=offset, m=more, id=number)
            header.nh, header.plen = socket.IPPROTO_FRAGMENT, None
            header /= extension
        pieces.append(header / Raw(part))
    return pieces


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
