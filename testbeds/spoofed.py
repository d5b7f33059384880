# SPDX-License-Identifier: Apache-2.0
"""What a pod sends from an address that is not its own: the sources, and what carries them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from ipaddress import ip_address

from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from harness.testbed import Actor, PodActor, Testbed
from harness.topology import Family
from harness.topology.addressing import WORLD
from testbeds.packets import echo, ip

#: In the payload of every spoofed packet, by which it is found wherever it went.
LABEL = b"from another's address"
#: And in those of the pod's own, which show that the same packets would have arrived.
GENUINE = b"from the pod's address"
#: RFC 4861: what has crossed a router is no neighbour discovery.
ND_HOP_LIMIT = 255
#: What carries a source that matters by its role.
CARRIED: dict[str, Callable[[Family], Packet]] = {
    "ping": echo,
    "datagram": lambda _: UDP(sport=4000, dport=4001),
    "SYN": lambda _: TCP(sport=4000, dport=4001, flags="S"),
}
#: Neighbour discovery, and which of its fields are addresses: those of the destination.
DISCOVERY: dict[str, tuple[Callable[..., Packet], tuple[str, ...]]] = {
    "solicitation": (ICMPv6ND_NS, ("tgt",)),
    "advertisement": (ICMPv6ND_NA, ("tgt",)),
    "router-solicitation": (ICMPv6ND_RS, ()),
    "router-advertisement": (ICMPv6ND_RA, ()),
    "redirect": (ICMPv6ND_Redirect, ("tgt", "dst")),
}


def _layer(family: Family, kind: str, target: str) -> Packet:
    if kind in CARRIED:
        return CARRIED[kind](family)
    layer, addresses = DISCOVERY[kind]
    return layer(**dict.fromkeys(addresses, target))


@cache  # the addresses are the plan's: each datapath is sent the same frames
def _frame(
    family: Family, macs: tuple[str, str], source: str, target: str, kind: str, label: bytes
) -> bytes:
    header = ip(family, source, target, ND_HOP_LIMIT if kind in DISCOVERY else 64)
    return bytes(Ether(src=macs[0], dst=macs[1]) / header / _layer(family, kind, target) / label)


def near(address: str) -> Iterator[str]:
    """Addresses that differ in one bit of one byte: a check that leaves any byte out takes one."""
    number, family = int(ip_address(address)), type(ip_address(address))
    for byte in range(ip_address(address).max_prefixlen // 8):
        yield str(family(number ^ 1 << 8 * byte))


def roles(testbed: Testbed, family: Family) -> list[str]:
    """Whose a pod could pretend to be: another pod, its node, the gateway, the world."""
    others: list[Actor] = [testbed.pod2, testbed.pod3, testbed.master, testbed.node1]
    own = [other.addresses[family] for other in others]
    return [*own, testbed.master.gateway[family], WORLD[family]]


def spoofed(testbed: Testbed, family: Family, targets: list[str]) -> list[bytes]:
    """Every source with every layer, to every target, as frames of pod1."""
    kinds = [*CARRIED, *(DISCOVERY if family is Family.ipv6 else ())]
    rows = [(source, kind) for source in roles(testbed, family) for kind in kinds]
    rows += [(source, "datagram") for source in near(testbed.pod1.addresses[family])]
    pod = testbed.pod1
    return [
        _frame(family, (pod.mac, pod.lxc_mac), source, target, kind, LABEL)
        for source, kind in rows
        for target in targets
        if source != target
    ]


def genuine(testbed: Testbed, family: Family, targets: list[str]) -> list[bytes]:
    """The same from the pod's own address; of neighbour discovery none, which is not routed."""
    pod = testbed.pod1
    return [
        _frame(family, (pod.mac, pod.lxc_mac), pod.addresses[family], target, kind, GENUINE)
        for kind in CARRIED
        for target in targets
    ]


def claims_of(pod: PodActor, family: Family, address: str) -> list[bytes]:
    """What would make a neighbour believe that an address is at a pod's MAC."""
    to_all, to_gateway = ("ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01"), pod.lxc_mac
    if family is Family.ipv4:
        # A reply that nobody asked for, an announcement (RFC 5227), a question in another's name.
        claims = [
            ARP(op=op, hwsrc=pod.mac, psrc=address, hwdst=hwdst, pdst=pdst)
            for op, hwdst, pdst in (
                (2, pod.lxc_mac, pod.node.gateway[family]),
                (1, "00:00:00:00:00:00", address),
                (1, "00:00:00:00:00:00", pod.node.gateway[family]),
            )
        ]
        return [
            bytes(Ether(src=pod.mac, dst=to) / claim)
            for claim in claims
            for to in (to_all[0], to_gateway)
        ]
    own = ICMPv6NDOptDstLLAddr(lladdr=pod.mac)
    return [
        bytes(
            Ether(src=pod.mac, dst=mac)
            / ip(family, pod.addresses[family], to, ND_HOP_LIMIT)
            / ICMPv6ND_NA(tgt=address, R=1, S=solicited, O=1)
            / own
        )
        for mac, to, solicited in (
            (to_all[1], "ff02::1", 0),
            (to_gateway, pod.node.gateway[family], 1),
        )
    ]
