# SPDX-License-Identifier: Apache-2.0
"""The address plan: every address and MAC follows from a node's and a pod's number.

Node n (from 1) owns 10.0.n.0/24 and fd00:10:0:n::/64; its gateway is the first address, its pods
follow from .10 on. Those of the first node that do not fit there are in 10.0.128.0/18. The wire is
192.168.56.0/24 and fd00:56::/64, a second one 192.168.57.0/24 and fd00:57::/64. The world behind
it owns 198.51.100.1 (TEST-NET-2, RFC 5737) and 2001:db8:100::1 (RFC 3849).
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Network, IPv6Network, ip_network

MAX_NODES = 99
NO_MAC = "00:00:00:00:00:00"  # what an L3 device has
MAX_PODS_PER_NODE = 240
MAX_MORE_PODS = 1500  # with two IPv6 addresses a pod, what the programs' maps hold: bpf/maps.c


class Family(IntEnum):
    """An address family; the value is the IP version, the name goes into test ids."""

    ipv4 = 4
    ipv6 = 6

    @classmethod
    def of(cls, address: str) -> Family:
        """The family of an address."""
        return cls.ipv6 if ":" in address else cls.ipv4

    @property
    def af(self) -> int:
        """AF_INET or AF_INET6."""
        return socket.AF_INET if self is Family.ipv4 else socket.AF_INET6

    @property
    def host_prefix(self) -> int:
        """The prefix length of one address."""
        return 32 if self is Family.ipv4 else 128


@dataclass(frozen=True)
class Addresses:
    """One host's address in each family."""

    ipv4: str
    ipv6: str

    def __getitem__(self, family: Family) -> str:
        return self.ipv4 if family is Family.ipv4 else self.ipv6


_ROLES = {"nic": 0x01, "lxc": 0x02, "pod": 0x03, "world": 0x04, "switch": 0x05, "behind": 0x06}
#: A wire's networks, by its number from 0; it joins the uplinks of that number.
WIRES: tuple[dict[Family, IPv4Network | IPv6Network], ...] = tuple(
    {
        Family.ipv4: IPv4Network(f"192.168.{56 + number}.0/24"),
        Family.ipv6: IPv6Network(f"fd00:{56 + number}::/64"),
    }
    for number in range(2)
)
#: What every node calls its uplinks, in order.
UPLINKS = ("enp0s8", "enp0s9")
PODS = Addresses("10.0.0.0/16", "fd00:10::/48")  # every pod of the cluster
MORE_PODS = IPv4Network("10.0.128.0/18")  # no node's: there are only 99
WORLD = Addresses("198.51.100.1", "2001:db8:100::1")


def pod_networks(node: int) -> dict[Family, IPv4Network | IPv6Network]:
    """The networks that node `node` (from 1) gives to its pods."""
    return {
        Family.ipv4: ip_network(f"10.0.{node}.0/24"),
        Family.ipv6: ip_network(f"fd00:10:0:{node:x}::/64"),
    }


def gateway(node: int) -> Addresses:
    """The gateway of node `node`'s pods."""
    nets = pod_networks(node)
    return Addresses(str(nets[Family.ipv4][1]), str(nets[Family.ipv6][1]))


def pod(node: int, number: int) -> Addresses:
    """The address of the pod that is `number`-th (from 1) on node `node`.

    Only the first node has more than `MAX_PODS_PER_NODE`.
    """
    nets = pod_networks(node)
    more = number - MAX_PODS_PER_NODE
    ipv4 = MORE_PODS[more] if more > 0 else nets[Family.ipv4][9 + number]
    return Addresses(str(ipv4), str(nets[Family.ipv6][9 + number]))


def node_uplink(node: int, wire: int = 0) -> Addresses:
    """The address of node `node` on a wire."""
    nets = WIRES[wire]
    return Addresses(str(nets[Family.ipv4][10 + node]), str(nets[Family.ipv6][0x10 + node]))


def world_uplink(wire: int = 0) -> Addresses:
    """The world's address on a wire."""
    nets = WIRES[wire]
    return Addresses(str(nets[Family.ipv4][200]), str(nets[Family.ipv6][0x200]))


def mac(role: str, number: int) -> str:
    """A locally administered MAC that tells its role, a key of `_ROLES`.

    Its third byte is the role, its last two the number.
    """
    return f"02:00:{_ROLES[role]:02x}:00:{number >> 8:02x}:{number & 0xFF:02x}"


def link_local(role: str, number: int) -> str:
    """A node interface's link-local address.

    Without one the kernel solicits no neighbour for a packet it forwards (ndisc_send_ns(),
    net/ipv6/ndisc.c).
    """
    return f"fe80::{_ROLES[role]:x}:{number:x}"


def mac_bytes(text: str) -> bytes:
    """Six bytes of a MAC's text."""
    return bytes.fromhex(text.replace(":", ""))
