# SPDX-License-Identifier: Apache-2.0
"""What a pod asks of its gateway, and what only looks as if: ARP, neighbour discovery, echo."""

from __future__ import annotations

from typing import Any

from scapy.layers.inet import ICMP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrFragment,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from harness.testbed import PodActor
from harness.topology import Family
from testbeds.packets import from_pod, ip

_BROADCAST, _NOBODY = "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"
ANOTHER_MAC = "02:00:00:00:00:77"

# ---------------------------------------------------------------------------------------------- ARP

#: Questions that are answered: name → what differs from the usual one.
ARP_ASKED: dict[str, dict[str, Any]] = {
    "broadcast": {},
    "unicast": {"to": "lxc"},
    "probe": {"psrc": "0.0.0.0"},
    "from another MAC": {"hwsrc": ANOTHER_MAC},
    "with a target's MAC": {"hwdst": ANOTHER_MAC},
}
#: What is no question about the gateway.
ARP_NOT_ASKED: dict[str, dict[str, Any]] = {
    "reply": {"op": 2},
    "reverse": {"op": 3},
    "about a stranger": {"pdst": "10.0.1.99"},
    "about another pod": {"pdst": "10.0.1.11"},
    "of other hardware": {"hwtype": 32},
    "of another protocol": {"ptype": 0x86DD},
    "of longer hardware addresses": {"hwlen": 8},
    "of longer protocol addresses": {"plen": 16},
}


def arp_question(pod: PodActor, given: dict[str, Any]) -> bytes:
    """A question of ARP, as a frame of a pod."""
    fields: dict[str, Any] = {
        "op": 1, "hwsrc": pod.mac, "psrc": pod.addresses.ipv4, "hwdst": _NOBODY,
        "pdst": pod.node.gateway.ipv4, "hwtype": 1, "ptype": 0x0800, "hwlen": 6, "plen": 4,
        "to": "",
    } | given  # fmt: skip
    to = pod.lxc_mac if fields.pop("to") else _BROADCAST
    # By hand: scapy would make the addresses as long as the lengths say.
    lengths = {name: fields.pop(name) for name in ("hwtype", "ptype", "hwlen", "plen")}
    packet = bytearray(bytes(ARP(**fields)))
    packet[0:2], packet[2:4] = (lengths[name].to_bytes(2) for name in ("hwtype", "ptype"))
    packet[4:6] = bytes((lengths["hwlen"], lengths["plen"]))
    return bytes(Ether(src=pod.mac, dst=to, type=0x0806)) + bytes(packet)


def arp_answer(pod: PodActor, given: dict[str, Any]) -> bytes:
    """The answer to it (RFC 826): sender and target have changed places."""
    asked = {"hwsrc": pod.mac, "psrc": pod.addresses.ipv4} | given
    answer = ARP(op=2, hwsrc=pod.lxc_mac, psrc=pod.node.gateway.ipv4,
                 hwdst=asked["hwsrc"], pdst=asked["psrc"])  # fmt: skip
    return bytes(Ether(src=pod.lxc_mac, dst=asked["hwsrc"]) / answer)


# ----------------------------------------------------------------------------- neighbour discovery

_SOLICITED_NODE = "ff02::1:ff00:1"  # of the gateway's, fd00:10:0:1::1 (RFC 4291, 2.7.1)
_SOLICITED_MAC = "33:33:ff:00:00:01"

ND_ASKED: dict[str, dict[str, Any]] = {
    "multicast": {},
    "unicast": {"dst": "gateway"},
    "unicast without an option": {"dst": "gateway", "option": False},
    "duplicate address detection": {"src": "::", "option": False},
}
#: What RFC 4861, 7.1.1, has a node discard in silence, and what is none of the gateway's.
ND_NOT_ASKED: dict[str, dict[str, Any]] = {
    "hop limit 64": {"hlim": 64},
    "hop limit 254": {"hlim": 254},
    "hop limit 1": {"hlim": 1},
    "code 1": {"code": 1},
    "about a stranger": {"tgt": "fd00:10:0:1::99"},
    "about another pod": {"tgt": "fd00:10:0:1::b"},
    "advertisement": {"kind": ICMPv6ND_NA},
}


def nd_question(pod: PodActor, given: dict[str, Any]) -> bytes:
    """A neighbour solicitation, as a frame of a pod."""
    gateway = pod.node.gateway.ipv6
    fields: dict[str, Any] = {
        "src": pod.addresses.ipv6, "dst": "", "hlim": 255, "tgt": gateway, "code": 0,
        "option": True, "kind": ICMPv6ND_NS,
    } | given  # fmt: skip
    header = IPv6(src=fields["src"], dst=gateway if fields["dst"] else _SOLICITED_NODE,
                  hlim=fields["hlim"])  # fmt: skip
    packet = header / fields["kind"](tgt=fields["tgt"], code=fields["code"])
    if fields["option"]:
        packet /= ICMPv6NDOptSrcLLAddr(lladdr=pod.mac)
    to = pod.lxc_mac if fields["dst"] else _SOLICITED_MAC
    return bytes(Ether(src=pod.mac, dst=to) / packet)


# --------------------------------------------------------------------------------------------- echo


def _echo4(**fields: Any) -> Packet:
    return ICMP(**{"type": 8, "id": 0x600D, "seq": 1} | fields)


_TAIL = b"looks like an echo"
#: What a gateway must not take for an echo request: name → a packet, from its IP header's fields.
NO_ECHO: dict[Family, dict[str, tuple[dict[str, Any], Packet | bytes]]] = {
    Family.ipv4: {
        "echo reply": ({}, _echo4(type=0)),
        "timestamp": ({}, _echo4(type=13)),
        "information request": ({}, _echo4(type=15)),
        "address mask request": ({}, _echo4(type=17)),
        "UDP that begins with 8": ({}, UDP(sport=0x0800, dport=1)),
        "TCP that begins with 8": ({}, TCP(sport=0x0800, dport=1)),
        "ICMPv6 in IPv4": ({"proto": 58}, ICMPv6EchoRequest(id=0x600D, seq=1, cksum=1)),
        "ICMP of a later fragment": ({"proto": 1, "frag": 10}, bytes(_echo4())),
        "ICMP of a first fragment": ({"proto": 1, "flags": "MF"}, bytes(_echo4())),
    },
    Family.ipv6: {
        "echo reply": ({}, ICMPv6EchoReply(id=0x600D, seq=1)),
        "UDP that begins with 128": ({}, UDP(sport=0x8000, dport=1)),
        "TCP that begins with 128": ({}, TCP(sport=0x8000, dport=1)),
        "ICMP in IPv6": ({"nh": 1}, bytes(_echo4())),
        "type 128 of ICMP in IPv6": ({"nh": 1}, bytes(_echo4(type=128))),
        "type 8 of ICMPv6": ({"nh": 58}, bytes(_echo4())),
        "ICMPv6 of a later fragment": (
            {"nh": 44},
            bytes(IPv6ExtHdrFragment(nh=58, offset=10, m=0)) + bytes(_echo4(type=128)),
        ),
        "ICMPv6 of a first fragment": (
            {"nh": 44},
            bytes(IPv6ExtHdrFragment(nh=58, offset=0, m=1)) + bytes(_echo4(type=128)),
        ),
    },
}


def no_echoes(pod: PodActor, family: Family) -> list[bytes]:
    """Those of a family, as frames of a pod to its gateway."""
    return [
        from_pod(
            pod,
            ip(family, pod.addresses[family], pod.node.gateway[family], **fields) / what / _TAIL,
        )
        for fields, what in NO_ECHO[family].values()
    ]


def gateway_echoes(pod: PodActor, family: Family) -> list[bytes]:
    """Echo requests to the gateway: odd and even lengths, with a class of traffic."""
    traffic_class: dict[str, Any] = {"tos" if family is Family.ipv4 else "tc": 0xB9}
    header = ip(family, pod.addresses[family], pod.node.gateway[family], **traffic_class)
    layer: Any = ICMP if family is Family.ipv4 else ICMPv6EchoRequest
    return [
        from_pod(pod, header / layer(id=0xEC40, seq=size) / bytes(range(1, size + 1)))
        for size in (0, 1, 8, 57)
    ]
