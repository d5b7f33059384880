# SPDX-License-Identifier: Apache-2.0
"""BPF host routing in its variants: the bundled programs on a node's hooks."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.attach import (
    EGRESS,
    INGRESS,
    Listed,
    Place,
    Placed,
    all_attachments,
    netkit,
    tcx,
)
from harness.bpf import pool, syscall
from harness.bpf.contract import enums
from harness.bpf.module import Module
from harness.bpf.source import Patch, Source
from harness.datapath import bpf_flows, bpf_policy, bpf_services
from harness.datapath.base import Counters
from harness.datapath.bpf_flows import FlowEntry, FlowMaps
from harness.datapath.bpf_maps import NodeMaps
from harness.datapath.bpf_policy import PolicyMaps
from harness.datapath.bpf_services import ServiceMaps
from harness.datapath.claims import BOTH, Claims
from harness.datapath.policy import Policy, Timeouts
from harness.datapath.services import Service, check, gone
from harness.datapath.settings import NodeSettings
from harness.plumbing.errors import UnknownNameError
from harness.topology import Family, Node

#: In the order in which they are joined: each part uses only what stands before it. Those of a
#: stage are empty where it is not asked for. The stages to come (masquerade.c, encap.c) go between
#: police.c and local_delivery.c.
PARTS = (
    "compat.h", "hostroute.h", "parse.h", "maps.c", "count.c", "read_packet.c", "rewrite.c",
    "icmp_error.c", "gateway.c", "gateway_echo.c", "transport.c", "flow.c", "policy.c", "service.c",
    "police.c", "translate.c", "reply.c", "answer.c", "local_delivery.c", "forward.c",
    "from_container.c", "from_netdev.c", "to_netdev.c", "to_container.c",
)  # fmt: skip
PROGRAMS = ("from_container", "from_netdev", "to_netdev")
#: What is loaded, and as which type.
LOADED = dict.fromkeys(PROGRAMS, syscall.PROG_TYPE_SCHED_CLS)
#: The same with policy or services, which also look at what the node's stack sends to a pod.
LOADED_WITH_FLOWS = LOADED | {"to_container": syscall.PROG_TYPE_SCHED_CLS}

#: What the programs do as they are built without macros.
CLAIMED = Claims(
    bypasses_stack=True, delivers="peer", forwards="redirect", local_pods="table",
    keeps_mark=True, keeps_tstamp=True, accepts_otherhost=True, counts=True, decrements_ttl=True,
    time_exceeded=BOTH, quotes_in_full=True, limits_errors=True, too_big=BOTH, big_tcp=BOTH,
    fragments=True, answers_arp=True, answers_nd=True, answers_gateway_ping=BOTH,
    source_check=BOTH, several_addresses=True, wire_source_check=BOTH, header_check=BOTH,
    options_to_stack=BOTH, keeps_link_scope=True, refusing_routes="drop", tells_no_route=BOTH,
    obeys_forwarding=BOTH, any_device=True, refreshes_neighbours=True, policy=True,
    services=BOTH, shows_client=True,
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
        stages = stage_defines(settings)
        source = replace(self.source, defines=(*self.defines, *stages))
        module = pool.take(source, LOADED_WITH_FLOWS if stages else LOADED)
        return InstalledBpf(self.name, node, module, self.hook, settings)


def stage_defines(settings: NodeSettings) -> tuple[str, ...]:
    """The macros that build in what a node's settings ask for."""
    asked = {
        bpf_policy.DEFINE: settings.policy is not None,
        bpf_services.DEFINE: settings.services == "bpf",
        bpf_services.MAGLEV: settings.services == "bpf" and settings.choice == "maglev",
    }
    stages = tuple(name for name, wanted in asked.items() if wanted)
    return (*stages, bpf_flows.define()) if stages else ()


class InstalledBpf:
    """The programs on a node.

    Attributes:
        name: The variant's name.
        node: The node.
        module: The loaded programs and their maps.
    """

    def __init__(
        self, name: str, node: Node, module: Module, hook: str = "clsact",
        settings: NodeSettings | None = None,
    ) -> None:  # fmt: skip
        settings = settings or NodeSettings()
        self.name = name
        self.node = node
        self.module = module
        self._hook = hook
        self._policy = settings.policy
        self._services = settings.used_services if settings.services == "bpf" else None
        self._networks = settings.service_networks
        self._policy_maps = PolicyMaps(module, node)
        self._service_maps = ServiceMaps(module, node, settings.choice)
        self._flow_maps = FlowMaps(module)
        self._maps = NodeMaps(node, module)
        self._placed = Placed(node.ns)
        try:
            self._empty()
            self.sync()
        except BaseException:
            self.remove()
            raise

    @property
    def _has_flows(self) -> bool:
        return self._policy is not None or self._services is not None

    def _empty(self) -> None:
        self._maps.empty()
        if self._has_flows:
            self._flow_maps.empty()
        if self._policy is not None:
            self._policy_maps.empty()
        if self._services is not None:
            self._service_maps.empty()

    def sync(self) -> None:
        """Do as an agent would: make maps and hooks what the node's pods, addresses and links are.

        The maps come first: a program that finds no pod for an lxc drops what it sends.
        """
        self.node.forget_indexes()
        self._maps.write()
        if self._services is not None:
            self._service_maps.write(self._services, self._networks)
        if self._policy is not None:
            self._policy_maps.write(self._policy)
        if self._has_flows:
            timeouts = self._policy.timeouts if self._policy is not None else Timeouts()
            self._flow_maps.write_settings(timeouts)
        self._placed.make(self._places())

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
        self._flow_maps.write_settings(policy.timeouts)

    def serve(self, services: Sequence[Service]) -> None:
        """Translate other services from now on, and forget UDP flows to backends that are gone.

        Raises:
            UnknownNameError: The programs were built without services, or they cannot stand
                together.
        """
        if self._services is None:
            raise UnknownNameError(
                f"{self.name} on {self.node.name} was built without services",
                "ask for them: NodeSettings(services='bpf')",
            )
        check(services, self._networks)
        before, self._services = self._services, tuple(services)
        self._service_maps.write(self._services, self._networks)
        self._flow_maps.forget_backends(gone(before, self._services))

    def _places(self) -> Iterator[Place]:
        for pod in self.node.pods:
            yield self._place(self._hook, "from_container", pod.lxc, INGRESS)
            if self._has_flows:
                yield self._place(self._hook, "to_container", pod.lxc, EGRESS)
        on_uplinks = tcx.NAME if self._hook == netkit.NAME else self._hook
        for uplink in self.node.uplinks:
            yield self._place(on_uplinks, "from_netdev", uplink, INGRESS)
            yield self._place(on_uplinks, "to_netdev", uplink, EGRESS)

    def _place(self, hook: str, program: str, device: str, direction: str) -> Place:
        fd, ifindex = self.module.fd(program), self.node.ifindex(device)
        return Place(hook, direction, ifindex, fd, program)

    def flows(self, family: Family) -> list[FlowEntry]:
        """The flows that policy and services remember: two entries each."""
        return self._flow_maps.flows(family)

    def forget(self, family: Family, *, reply: bool) -> None:
        """Delete each flow's entry of one direction, as an LRU map may at any time."""
        self._flow_maps.forget(family, reply=reply)

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
            self._placed.close()
        finally:
            pool.give_back(self.module)

    def reload(self) -> None:
        """Load the programs anew, so that they lie elsewhere in the kernel's memory."""
        self.module.reload()
