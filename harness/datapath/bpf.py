# SPDX-License-Identifier: Apache-2.0
"""BPF host routing in its variants: the bundled programs on a node's hooks."""

from __future__ import annotations

import ctypes
import socket
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Literal

from harness.attach import (
    EGRESS,
    HOOKS,
    INGRESS,
    Attachment,
    Listed,
    all_attachments,
    netkit,
    tcx,
)
from harness.bpf import pool, syscall
from harness.bpf.contract import enums
from harness.bpf.module import Module
from harness.bpf.source import Patch, Source
from harness.datapath import bpf_policy
from harness.datapath.base import Counters
from harness.datapath.bpf_policy import FlowEntry
from harness.datapath.claims import BOTH, Claims
from harness.datapath.policy import Policy
from harness.datapath.settings import NodeSettings
from harness.plumbing.errors import UnknownNameError
from harness.topology import Family, Node, Pod
from harness.topology.addressing import mac_bytes

#: In the order in which they are joined: each part uses only what stands before it. Those of a
#: stage are empty where it is not asked for. The stages to come (service.c, masquerade.c, encap.c)
#: go between police.c and local_delivery.c.
PARTS = (
    "compat.h", "hostroute.h", "parse.h", "maps.c", "count.c", "read_packet.c", "rewrite.c",
    "icmp_error.c", "gateway.c", "gateway_echo.c", "transport.c", "flow.c", "policy.c", "police.c",
    "local_delivery.c", "forward.c", "from_container.c", "from_netdev.c", "to_netdev.c",
    "to_container.c",
)  # fmt: skip
PROGRAMS = ("from_container", "from_netdev", "to_netdev")
#: What is loaded, and as which type.
LOADED = dict.fromkeys(PROGRAMS, syscall.PROG_TYPE_SCHED_CLS)
#: Maps that a testbed leaves something in; `sync` writes `config` whole.
_MAPS = (
    "endpoints4", "endpoints6", "sources", "hits", "drops", "fib_results", "neighbour_used",
    "error_budgets",
)  # fmt: skip
#: The same with policy, which also looks at what the node's stack sends to a pod.
LOADED_WITH_POLICY = LOADED | {"to_container": syscall.PROG_TYPE_SCHED_CLS}
_BYTE_ORDER: Literal["little", "big"] = sys.byteorder


#: What the programs do as they are built without macros.
CLAIMED = Claims(
    bypasses_stack=True, delivers="peer", forwards="redirect", local_pods="table",
    keeps_mark=True, keeps_tstamp=True, accepts_otherhost=True, counts=True, decrements_ttl=True,
    time_exceeded=BOTH, quotes_in_full=True, limits_errors=True, too_big=BOTH, fragments=True,
    answers_arp=True, answers_nd=True, answers_gateway_ping=BOTH, source_check=BOTH,
    wire_source_check=BOTH, header_check=BOTH, options_to_stack=BOTH, keeps_link_scope=True,
    refusing_routes="drop", tells_no_route=BOTH, obeys_forwarding=BOTH, any_device=True,
    refreshes_neighbours=True, policy=True,
)  # fmt: skip


@dataclass(frozen=True)
class HostRouting:
    """A variant of the BPF datapath.

    Attributes:
        name: As in `--datapath`.
        summary: What forwards, in a few words.
        needs: Helpers it calls.
        defines: Macros it is built with.
        patches: Changes of the source, for mutated programs.
        claims: What they do.
        hook: Where they are attached: one of `harness.attach.HOOKS`. With netkit's, which only
            pods' devices have, those of the uplinks are attached by TCX.
    """

    name: str
    summary: str
    needs: frozenset[str]
    defines: tuple[str, ...] = ()
    patches: tuple[Patch, ...] = ()
    claims: Claims = CLAIMED
    hook: str = "clsact"

    @property
    def source(self) -> Source:
        """What is compiled."""
        return Source(PARTS, self.defines, self.patches)

    def install(self, node: Node, settings: NodeSettings) -> InstalledBpf:
        """Attach the programs to every lxc and to every uplink of `node`, and fill the maps."""
        if settings.policy is None:
            return InstalledBpf(self.name, node, pool.take(self.source, LOADED), self.hook)
        source = replace(self.source, defines=(*self.defines, *bpf_policy.defines()))
        module = pool.take(source, LOADED_WITH_POLICY)
        return InstalledBpf(self.name, node, module, self.hook, settings.policy)


def _network_order(address: str) -> int:
    """An IPv4 address as the __u32 whose bytes in memory are in network order."""
    return int.from_bytes(socket.inet_aton(address), _BYTE_ORDER)


class InstalledBpf:
    """The programs on a node.

    Attributes:
        name: The variant's name.
        node: The node.
        module: The loaded programs and their maps.
    """

    def __init__(
        self, name: str, node: Node, module: Module, hook: str = "clsact",
        policy: Policy | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.node = node
        self.module = module
        self._policy = policy
        self._policy_maps = bpf_policy.PolicyMaps(module, node)
        self._attached: list[Attachment] = []
        try:
            self._empty_maps()
            self.sync()
            for pod in node.pods:
                self._attach(hook, "from_container", pod.lxc, INGRESS)
                if policy is not None:
                    self._attach(hook, "to_container", pod.lxc, EGRESS)
            on_uplinks = tcx.NAME if hook == netkit.NAME else hook
            for uplink in node.uplinks:
                self._attach(on_uplinks, "from_netdev", uplink, INGRESS)
                self._attach(on_uplinks, "to_netdev", uplink, EGRESS)
        except BaseException:
            self.remove()
            raise

    def _attach(self, hook: str, program: str, device: str, direction: str) -> None:
        fd, ifindex = self.module.fd(program), self.node.ifindex(device)
        self._attached.append(HOOKS[hook].attach(self.node.ns, ifindex, direction, fd, program))

    def _empty_maps(self) -> None:
        for name in _MAPS:
            self.module.empty(name)
        if self._policy is not None:
            self._policy_maps.empty()

    def sync(self) -> None:
        """Write pods, node addresses and links into the maps, as an agent would."""
        self._write_config()
        endpoints: dict[str, dict[str, Any]] = {}
        flags = {name: number for number, name in enums()["endpoint_flag"].items()}
        for family in Family:
            endpoints[self.node.gateway[family]] = {"flags": flags["gateway"]}
        for own in self.node.all_addresses():  # a gateway that a device has is the node's
            endpoints[own] = {"flags": flags["host"]}
        for pod in self.node.pods:
            endpoints |= self._write_pod(pod)
        self._write_endpoints(endpoints)
        if self._policy is not None:
            self._policy_maps.write(self._policy)

    def enforce(self, policy: Policy) -> None:
        """Put other rules in force; no program is loaded anew, and no flow is forgotten.

        Raises:
            UnknownNameError: The programs were built without policy.
        """
        if self._policy is None:
            raise UnknownNameError(
                f"{self.name} on {self.node.name} was built without policy",
                "ask for it in NodeSettings.policy; Policy() has no rules",
            )
        self._policy = policy
        self._policy_maps.write(policy)

    def _write_config(self) -> None:
        table = self.module.table("config")
        leaf = table.Leaf()
        node = self.node
        if node.uplinks:
            leaf.nic_ifindex = node.ifindex(node.uplink)
            leaf.nic_mtu = node.mtu(node.uplink)
        leaf.gateway4, leaf.node4 = (_network_order(a.ipv4) for a in (node.gateway, node.addresses))
        for field, addresses in (("gateway6", node.gateway), ("node6", node.addresses)):
            packed = socket.inet_pton(socket.AF_INET6, addresses.ipv6)
            ctypes.memmove(ctypes.byref(getattr(leaf, field)), packed, 16)
        table[ctypes.c_int(0)] = leaf

    def _write_pod(self, pod: Pod) -> dict[str, dict[str, Any]]:
        """Say whom the pod's lxc belongs to; returns the pod's addresses as endpoints."""
        ifindex = self.node.ifindex(pod.lxc)
        sources = self.module.table("sources")
        source = sources.Leaf()
        source.ip4 = _network_order(pod.addresses.ipv4)
        packed = socket.inet_pton(socket.AF_INET6, pod.addresses.ipv6)
        ctypes.memmove(ctypes.byref(source.ip6), packed, 16)
        source.lxc_mac[:] = mac_bytes(pod.lxc_mac)
        sources[sources.Key(ifindex)] = source
        endpoint = {
            "ifindex": ifindex, "mtu": self.node.mtu(pod.lxc), "mac": mac_bytes(pod.mac),
            "lxc_mac": mac_bytes(pod.lxc_mac),
        }  # fmt: skip
        return {pod.addresses[family]: endpoint for family in Family}

    def _write_endpoints(self, endpoints: dict[str, dict[str, Any]]) -> None:
        """Make the maps say what `endpoints` says: what is gone goes first."""
        tables = {family: self.module.table(f"endpoints{family.value}") for family in Family}
        wanted: dict[Family, dict[bytes, dict[str, Any]]] = {family: {} for family in Family}
        for address, fields in endpoints.items():
            family = Family.ipv6 if ":" in address else Family.ipv4
            wanted[family][socket.inet_pton(family.af, address)] = fields
        for family, table in tables.items():
            for key in list(table.keys()):
                if bytes(key) not in wanted[family]:
                    del table[key]
            for packed, fields in wanted[family].items():
                leaf = table.Leaf()
                for name, value in fields.items():
                    if isinstance(value, bytes):
                        getattr(leaf, name)[:] = value
                    else:
                        setattr(leaf, name, value)
                table[table.Key.from_buffer_copy(packed)] = leaf

    def flows(self, family: Family) -> list[FlowEntry]:
        """The flows that policy remembers: two entries each."""
        return self._policy_maps.flows(family)

    def forget(self, family: Family, *, reply: bool) -> None:
        """Delete each flow's entry of one direction, as an LRU map may at any time."""
        self._policy_maps.forget(family, reply=reply)

    def await_ready(self) -> None:
        """The programs forward from the moment they are attached."""

    def counters(self) -> Counters:
        """What the programs counted since they were installed."""
        names = enums()
        programs, verdicts = names["program"], names["verdict"]
        hits = self._sums("hits")
        return Counters(
            {
                (programs[key // len(verdicts)], verdicts[key % len(verdicts)]): value
                for key, value in hits.items()
            },
            {names["drop_reason"][key]: value for key, value in self._sums("drops").items()},
            {names["fib_result"][key]: value for key, value in self._sums("fib_results").items()},
        )

    def _sums(self, table: str) -> dict[int, int]:
        """Key → sum over CPUs, where it is not 0."""
        array = self.module.table(table)
        sums = {key: int(sum(array[ctypes.c_int(key)])) for key in range(len(array))}
        return {key: value for key, value in sums.items() if value}

    def attachments(self) -> list[Listed]:
        """The programs on the node's hooks, as the kernel lists them."""
        return all_attachments(self.node.ns)

    def describe(self) -> str:
        """Name and program tags."""
        tags = " ".join(f"{name}={tag}" for name, tag in self.module.tags().items())
        return f"{self.name} ({tags})"

    def remove(self) -> None:
        """Detach, and give the module back for the next testbed.

        A namespace that ends sends MLD farewells, some time later: were the programs still attached
        then, they would count them into the next testbed's maps.
        """
        try:
            with ExitStack() as detaching:  # one that fails must not keep the others attached
                while self._attached:
                    detaching.callback(self._attached.pop().detach)
        finally:
            pool.give_back(self.module)

    def reload(self) -> None:
        """Load the programs anew, so that they lie elsewhere in the kernel's memory."""
        self.module.reload()
