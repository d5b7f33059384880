# SPDX-License-Identifier: Apache-2.0
"""BPF host routing in its variants: the bundled programs on a node's hooks. Floor 3."""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.bpf import syscall
from harness.bpf.contract import enums
from harness.bpf.module import Module, Patch, Source
from harness.datapath.base import Counters
from harness.datapath.settings import NodeSettings
from harness.hooks import EGRESS, INGRESS, Attachment, attach, attachments, detach_all
from harness.topology import Family, Node
from harness.topology.addressing import mac_bytes
from harness.topology.hosts import NIC

#: In the order in which they are joined: each part uses only what stands before it. The stages
#: to come (policy.c, service.c, masquerade.c, encap.c) go between gateway.c and local_delivery.c.
PARTS = (
    "compat.h", "hostroute.h", "parse.h", "maps.c", "count.c", "read_packet.c", "rewrite.c",
    "icmp_error.c", "gateway.c", "local_delivery.c", "forward.c",
    "from_container.c", "from_netdev.c", "to_netdev.c",
)  # fmt: skip
PROGRAMS = ("from_container", "from_netdev", "to_netdev")
_HOST = 1  # ENDPOINT_HOST


@dataclass(frozen=True)
class HostRouting:
    """A variant of the BPF datapath.

    Attributes:
        name: As in `--datapath`.
        needs: Helpers it calls.
        defines: Macros it is built with.
        patches: Changes of the source, for mutated programs.
    """

    name: str
    needs: frozenset[str]
    defines: tuple[str, ...] = ()
    patches: tuple[Patch, ...] = ()
    host_routing: bool = True

    @property
    def source(self) -> Source:
        """What is compiled."""
        return Source(PARTS, self.defines, self.patches)

    def install(self, node: Node, settings: NodeSettings) -> InstalledBpf:
        """Attach the programs to every lxc and to the NIC of `node`, and fill the maps."""
        del settings  # a node that got here has none that these programs do not serve
        return InstalledBpf(self.name, node, _pool.take(self.source))


class _ModulePool:
    """Loaded modules that no node uses at the moment.

    A compile takes 0.7 s, a fresh testbed 15 ms: a module outlives its testbed and serves the
    next one, its maps emptied. Never two nodes at once: each has maps of its own. Of mutated
    programs, only the last mutant's are kept.
    """

    def __init__(self) -> None:
        self._idle: dict[Source, list[Module]] = {}

    def take(self, source: Source) -> Module:
        idle = self._idle.get(source)
        if idle:
            return idle.pop()
        return Module(source, dict.fromkeys(PROGRAMS, syscall.PROG_TYPE_SCHED_CLS))

    def give_back(self, module: Module) -> None:
        if module.source.patches:
            self._unload(lambda other: bool(other.patches) and other != module.source)
        self._idle.setdefault(module.source, []).append(module)

    def close(self) -> None:
        self._unload(lambda _: True)

    def _unload(self, which: Callable[[Source], bool]) -> None:
        for source in [source for source in self._idle if which(source)]:
            for module in self._idle.pop(source):
                module.close()


_pool = _ModulePool()


def unload_idle() -> None:
    """Unload every module that no node uses."""
    _pool.close()


def _network_order(address: str) -> int:
    """An IPv4 address as the __u32 whose bytes in memory are in network order."""
    return int.from_bytes(socket.inet_aton(address), _BYTE_ORDER)


_BYTE_ORDER: Any = "little" if ctypes.c_uint16.from_buffer_copy(b"\1\0").value == 1 else "big"


class InstalledBpf:
    """The programs on a node.

    Attributes:
        name: The variant's name.
        node: The node.
        module: The loaded programs and their maps.
    """

    def __init__(self, name: str, node: Node, module: Module) -> None:
        self.name = name
        self.node = node
        self.module = module
        self._devices: set[int] = set()
        try:
            self._empty_maps()
            self.sync()
            for pod in node.pods:
                self._attach("from_container", node.ifindex(pod.lxc), INGRESS)
            if node.has_nic:
                self._attach("from_netdev", node.ifindex(NIC), INGRESS)
                self._attach("to_netdev", node.ifindex(NIC), EGRESS)
        except BaseException:
            self.remove()
            raise

    def _attach(self, program: str, ifindex: int, direction: int) -> None:
        attach(self.node.ns, ifindex, direction, self.module.fd(program), program)
        self._devices.add(ifindex)

    def _empty_maps(self) -> None:
        for name in ("endpoints4", "endpoints6", "sources"):
            self.module.table(name).clear()
        for name in ("hits", "drops", "fib_results", "neighbour_used", "error_budgets"):
            table = self.module.table(name)
            zero = (table.Leaf * table.total_cpu)() if hasattr(table, "total_cpu") else table.Leaf()
            for key in range(len(table)):
                table[ctypes.c_int(key)] = zero

    def sync(self) -> None:
        """Write pods, node addresses and links into the maps, as an agent would."""
        self._write_config()
        for pod in self.node.pods:
            self._write_pod(pod)
        for entry in self.node.ns.netlink.get_addr():
            self._write_endpoint(entry.get_attr("IFA_ADDRESS"), flags=_HOST)

    def _write_config(self) -> None:
        table = self.module.table("config")
        leaf = table.Leaf()
        node = self.node
        if node.has_nic:
            leaf.nic_ifindex = node.ifindex(NIC)
            leaf.nic_mtu = node.ns.netlink.link("get", index=leaf.nic_ifindex)[0].get_attr(
                "IFLA_MTU"
            )
        leaf.gateway4, leaf.node4 = (_network_order(a.ipv4) for a in (node.gateway, node.addresses))
        for field, addresses in (("gateway6", node.gateway), ("node6", node.addresses)):
            packed = socket.inet_pton(socket.AF_INET6, addresses.ipv6)
            ctypes.memmove(ctypes.byref(getattr(leaf, field)), packed, 16)
        table[ctypes.c_int(0)] = leaf

    def _write_pod(self, pod: Any) -> None:
        ifindex = self.node.ifindex(pod.lxc)
        sources = self.module.table("sources")
        source = sources.Leaf()
        source.ip4 = _network_order(pod.addresses.ipv4)
        packed = socket.inet_pton(socket.AF_INET6, pod.addresses.ipv6)
        ctypes.memmove(ctypes.byref(source.ip6), packed, 16)
        source.lxc_mac[:] = mac_bytes(pod.lxc_mac)
        sources[sources.Key(ifindex)] = source
        mtu = self.node.ns.netlink.link("get", index=ifindex)[0].get_attr("IFLA_MTU")
        for family in Family:
            self._write_endpoint(
                pod.addresses[family], ifindex=ifindex, mtu=mtu,
                mac=mac_bytes(pod.mac), lxc_mac=mac_bytes(pod.lxc_mac),
            )  # fmt: skip

    def _write_endpoint(
        self, address: str, flags: int = 0, ifindex: int = 0, mtu: int = 0,
        mac: bytes = bytes(6), lxc_mac: bytes = bytes(6),
    ) -> None:  # fmt: skip
        table = self.module.table("endpoints6" if ":" in address else "endpoints4")
        leaf = table.Leaf(ifindex=ifindex, mtu=mtu, flags=flags)
        leaf.mac[:], leaf.lxc_mac[:] = mac, lxc_mac
        if ":" in address:
            key = table.Key()
            ctypes.memmove(ctypes.byref(key), socket.inet_pton(socket.AF_INET6, address), 16)
        else:
            key = table.Key(_network_order(address))
        table[key] = leaf

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

    def attachments(self) -> list[Attachment]:
        """The programs on the node's hooks, as the kernel lists them."""
        names = {pod.lxc for pod in self.node.pods} | ({NIC} if self.node.has_nic else set())
        return attachments(self.node.ns, {name: self.node.ifindex(name) for name in names})

    def describe(self) -> str:
        """Name and program tags."""
        tags = " ".join(f"{name}={tag}" for name, tag in self.module.tags().items())
        return f"{self.name} ({tags})"

    def remove(self) -> None:
        """Detach, and give the module back for the next testbed.

        A namespace that ends sends MLD farewells, some time later: were the programs still attached
        then, they would count them into the next testbed's maps.
        """
        for ifindex in self._devices:
            detach_all(self.node.ns, ifindex)
        _pool.give_back(self.module)
