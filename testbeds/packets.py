# SPDX-License-Identifier: Apache-2.0
"""Frames that a test crafts, with the flow they belong to."""

from __future__ import annotations

from collections.abc import Sequence

from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether

from harness.testbed import Actor, PodActor
from harness.topology import Family
from harness.traffic import Flow
from harness.traffic.flow import next_identity
from harness.traffic.headers import ICMP_PROTOCOL

_CLASS = 0xB8  # expedited forwarding: DSCP 46, RFC 3246
_LABEL = 0x12345


def echoes(
    pod: PodActor, target: Actor, family: Family, numbers: Sequence[int]
) -> tuple[list[bytes], Flow]:
    """Echo requests of a pod with every field set that a router passes on as it is."""
    identity = next_identity()
    source, destination = pod.address, target.address
    frames = []
    for number in numbers:
        echo: IP | IPv6 = (
            IP(src=source, dst=destination, tos=_CLASS, id=0xBEEF, flags="DF")
            / ICMP(id=identity, seq=number)
            if family is Family.ipv4
            else IPv6(src=source, dst=destination, tc=_CLASS, fl=_LABEL)
            / ICMPv6EchoRequest(id=identity, seq=number)
        )
        frames.append(bytes(Ether(src=pod.mac, dst=pod.lxc_mac) / echo / b"as it was sent"))
    return frames, Flow(
        family, ICMP_PROTOCOL[family], source, destination, identity, identity, list(numbers)
    )
