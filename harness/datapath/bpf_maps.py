# SPDX-License-Identifier: Apache-2.0
"""What an agent tells the bundled programs: a node's pods, addresses and routes, in their maps."""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import sys
from typing import Any, Literal

from harness.bpf.contract import enums
from harness.bpf.module import Module
from harness.topology import Family, Node, Pod
from harness.topology.addressing import mac_bytes
from harness.topology.hosts import POD_IF

#: Maps that a testbed leaves something in; `write` writes `config` whole.
_LEFT = (
    "endpoints4", "endpoints6", "sources", "routes4", "routes6", "hits", "drops", "fib_results",
    "neighbour_used", "error_budgets",
)  # fmt: skip
_BYTE_ORDER: Literal["little", "big"] = sys.byteorder
_MAIN, _UNICAST = 254, 1  # RT_TABLE_MAIN, RTN_UNICAST, uapi/linux/rtnetlink.h

#: Key → fields of the value.
Rows = dict[bytes, dict[str, Any]]


def _network_order(address: str) -> int:
    """An IPv4 address as the __u32 whose bytes in memory are in network order."""
    return int.from_bytes(socket.inet_aton(address), _BYTE_ORDER)


def _number(value: int) -> bytes:
    return value.to_bytes(4, _BYTE_ORDER)


class NodeMaps:
    """The maps of one node's programs."""

    def __init__(self, node: Node, module: Module) -> None:
        self._node = node
        self._module = module

    def empty(self) -> None:
        """Forget what another testbed left: a call a map, where `write` would take one a row."""
        for name in filter(self._module.has_table, _LEFT):
            self._module.empty(name)

    def write(self) -> None:
        """Make the maps say what the node is now, and nothing of what it was."""
        endpoints = self._endpoints()
        for family, rows in endpoints.items():
            self._module.replace(f"endpoints{family.value}", rows)
        self._module.replace(
            "sources",
            {
                _number(self._node.ifindex(pod.lxc)): {"lxc_mac": mac_bytes(pod.lxc_mac)}
                for pod in self._node.pods
            },
        )
        elsewhere = 0
        if self._module.has_table("routes4"):
            for family in Family:
                rows = self._routes(family, endpoints[family])
                self._module.replace(f"routes{family.value}", rows)
                first = self._node.ifindex(self._node.uplink) if self._node.uplinks else 0
                elsewhere += sum(row["ifindex"] != first for row in rows.values())
        self._write_config(elsewhere)

    def _write_config(self, elsewhere: int) -> None:
        table, node = self._module.table("config"), self._node
        leaf = table.Leaf()
        if node.uplinks:
            leaf.nic_ifindex = node.ifindex(node.uplink)
            leaf.nic_mtu = node.mtu(node.uplink)
        leaf.other_routes = elsewhere
        leaf.gateway4, leaf.node4 = (_network_order(a.ipv4) for a in (node.gateway, node.addresses))
        for field, addresses in (("gateway6", node.gateway), ("node6", node.addresses)):
            packed = socket.inet_pton(socket.AF_INET6, addresses.ipv6)
            ctypes.memmove(ctypes.byref(getattr(leaf, field)), packed, 16)
        table[ctypes.c_int(0)] = leaf

    def _endpoints(self) -> dict[Family, Rows]:
        """Address → what it is: the gateway, the node's own, a pod's."""
        rows: dict[Family, Rows] = {family: {} for family in Family}
        flags = {name: number for number, name in enums()["endpoint_flag"].items()}

        def add(address: str, fields: dict[str, Any]) -> None:
            family = Family.of(address)
            rows[family][socket.inet_pton(family.af, address)] = fields

        for family in Family:
            add(self._node.gateway[family], {"flags": flags["gateway"]})
        for own in self._node.all_addresses():  # a gateway that a device has is the node's
            add(own, {"flags": flags["host"]})
        for pod in self._node.pods:
            fields = self._of_pod(pod)
            for family in Family:
                for address in pod.every_address(family):
                    add(address, fields)
        return rows

    def _of_pod(self, pod: Pod) -> dict[str, Any]:
        return {
            "ifindex": self._node.ifindex(pod.lxc),
            "mtu": min(self._node.mtu(pod.lxc), pod.mtu(POD_IF)),
            "mac": mac_bytes(pod.mac),
            "lxc_mac": mac_bytes(pod.lxc_mac),
        }

    def _routes(self, family: Family, endpoints: Rows) -> Rows:
        """Prefix → the uplink that the main table's route names; 0: anything else, the stack's.

        Left out is what no program looks up here: addresses of the table of endpoints, and those
        that do not leave their link.
        """
        uplinks = {self._node.ifindex(name): self._node.mtu(name) for name in self._node.uplinks}
        rows: Rows = {}
        metrics: dict[bytes, int] = {}
        for route in self._node.ns.netlink.get_routes(family=family.af, table=_MAIN):
            prefix = route.get_attr("RTA_DST") or {4: "0.0.0.0", 6: "::"}[family]
            address = ipaddress.ip_address(prefix)
            length, metric = route["dst_len"], route.get_attr("RTA_PRIORITY") or 0
            key = _number(length) + address.packed
            known = length == family.host_prefix and address.packed in endpoints
            on_the_link = length and (address.is_link_local or address.is_multicast)
            if known or on_the_link or metrics.get(key, metric) < metric:
                continue
            device = route.get_attr("RTA_OIF") or 0
            plain = route["type"] == _UNICAST and not route.get_attr("RTA_ENCAP_TYPE")
            ifindex = device if plain and device in uplinks else 0
            metrics[key] = metric
            rows[key] = {"ifindex": ifindex, "mtu": uplinks.get(ifindex, 0)}
        return rows
