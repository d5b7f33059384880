# SPDX-License-Identifier: Apache-2.0
"""`{ifindex}`, `{ip4}`, …: what a description may leave to the testbed, and how it is encoded.

Numbers are in the machine's byte order, addresses and MACs in network order, as packets have them.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.datapath.brought.table import Table
from harness.topology import Addresses, Node, Pod
from harness.topology.addressing import mac_bytes, node_uplink

#: As the file has it: a number, true or false, a list of bytes, or a placeholder.
Template = int | bytes | str
Filled = int | bytes
_MAC, _IP4, _IP6 = 6, 4, 16
_BYTE, _NUMBERS = range(256), (1, 2, 4, 8)
_ORDER: Literal["little", "big"] = sys.byteorder


@dataclass(frozen=True)
class Placeholder:
    """A row of the table.

    Attributes:
        size: Bytes; 0: a number, as long as what it is written to.
        meaning: In a few words.
        at: The places that have it; none: all.
    """

    size: int
    meaning: str
    at: tuple[str, ...] = ()

    def fits(self, size: int) -> bool:
        """Whether it can be written to so many bytes; a MAC also to a __u64's."""
        return size in {0: (4, 8), _MAC: (_MAC, 8)}.get(self.size, (self.size,))


_DEVICE = ("lxc", "uplink")
#: Name → what it stands for.
PLACEHOLDERS: dict[str, Placeholder] = {
    "ifindex": Placeholder(0, "the device's index", _DEVICE),
    "mac": Placeholder(_MAC, "the device's MAC", _DEVICE),
    "mtu": Placeholder(0, "the device's MTU, bytes", _DEVICE),
    "ip4": Placeholder(_IP4, "lxc: the pod's address; uplink: the node's on that wire",
                       (*_DEVICE, "address4")),
    "ip6": Placeholder(_IP6, "the same for IPv6", (*_DEVICE, "address6")),
    "pod_mac": Placeholder(_MAC, "the MAC of the pod's eth0", ("lxc",)),
    "gateway4": Placeholder(_IP4, "the gateway of the node's pods"),
    "gateway6": Placeholder(_IP6, "the same for IPv6"),
    "node4": Placeholder(_IP4, "the node's address"),
    "node6": Placeholder(_IP6, "the same for IPv6"),
    "uplink_ifindex": Placeholder(0, "the first uplink's index; 0: the node has none"),
    "uplink_mac": Placeholder(_MAC, "its MAC; zeros: the node has none"),
    "uplink_mtu": Placeholder(0, "its MTU, bytes; 0: the node has none"),
}  # fmt: skip


def check(table: Table, key: str, value: object, size: int, at: str) -> Template:
    """A value of the file that can be filled in at a place, and fits.

    Args:
        table: Where it stands, for messages.
        key: Its key there.
        value: As the file has it.
        size: Of the variable or the field, bytes.
        at: `lxc`, `uplink`, `node`, `address4` or `address6`.

    Raises:
        DescriptionError: It cannot, or does not.
    """
    if isinstance(value, str):
        _check_placeholder(table, key, value, size, at)
        return value
    if isinstance(value, list) and all(type(one) is int and one in _BYTE for one in value):
        if len(value) != size:
            table.fail(key, f"{len(value)} bytes are not {size}")
        return bytes(value)
    if not isinstance(value, int):
        todo = "use a number, true or false, a list of bytes or a {placeholder}"
        table.fail(key, f"{value!r} is no value", todo)
    if size not in _NUMBERS or not -(1 << 8 * size - 1) <= value < 1 << 8 * size:
        table.fail(key, f"{value} does not fit into {size} bytes")
    return int(value)


def _check_placeholder(table: Table, key: str, value: str, size: int, at: str) -> None:
    name = value[1:-1]
    found = PLACEHOLDERS.get(name) if value == f"{{{name}}}" else None
    here = [f"{{{each}}}" for each, row in PLACEHOLDERS.items() if not row.at or at in row.at]
    if found is None or value not in here:
        table.fail(key, f"{value!r} is no placeholder at {at}", f"use {', '.join(here)}")
    if not found.fits(size):
        table.fail(key, f"{value} does not fit into {size} bytes")


def encode(value: Template, values: Mapping[str, Filled], size: int) -> bytes:
    """A checked value, filled in, as so many bytes."""
    filled = values[value[1:-1]] if isinstance(value, str) else value
    if isinstance(filled, int):
        return filled.to_bytes(size, _ORDER, signed=filled < 0)
    return bytes(filled).ljust(size, b"\0")


def of_node(node: Node) -> dict[str, Filled]:
    """What is the same at every place of a node."""
    first = node.uplinks[0] if node.uplinks else ""
    return {
        **_pair("gateway", node.gateway),
        **_pair("node", node.addresses),
        "uplink_ifindex": node.ifindex(first) if first else 0,
        "uplink_mac": mac_bytes(node.macs[first]) if first else bytes(_MAC),
        "uplink_mtu": node.mtu(first) if first else 0,
    }


def of_pod(node: Node, pod: Pod) -> dict[str, Filled]:
    """What there is at a pod's lxc."""
    return {
        **of_node(node), **_device(node, pod.lxc), **_pair("ip", pod.addresses),
        "pod_mac": mac_bytes(pod.mac),
    }  # fmt: skip


def of_uplink(node: Node, uplink: str) -> dict[str, Filled]:
    """What there is at an uplink."""
    addresses = node_uplink(node.number, node.uplinks.index(uplink))
    return {**of_node(node), **_device(node, uplink), **_pair("ip", addresses)}


def _device(node: Node, device: str) -> dict[str, Filled]:
    return {
        "ifindex": node.ifindex(device), "mac": mac_bytes(node.macs[device]),
        "mtu": node.mtu(device),
    }  # fmt: skip


def _pair(name: str, addresses: Addresses) -> dict[str, Filled]:
    return {
        f"{name}4": socket.inet_pton(socket.AF_INET, addresses.ipv4),
        f"{name}6": socket.inet_pton(socket.AF_INET6, addresses.ipv6),
    }
