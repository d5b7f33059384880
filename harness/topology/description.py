# SPDX-License-Identifier: Apache-2.0
"""What a testbed is made of, before anything is built."""

from __future__ import annotations

from dataclasses import dataclass

from harness.plumbing.errors import UnknownNameError
from harness.topology import netkit
from harness.topology.addressing import MAX_MORE_PODS, MAX_NODES, MAX_PODS_PER_NODE, UPLINKS

VETH = "veth"
#: Kinds of device that can join a pod to its node: a veth pair, or a netkit pair in L2 or L3 mode.
POD_DEVICES = (VETH, *netkit.MODES)


@dataclass(frozen=True)
class Topology:
    """Nodes with pods, perhaps a wire, perhaps a world behind it.

    Attributes:
        nodes: How many nodes; the first is `master`, then `node1`, `node2`, …
        pods_per_node: How many pods each has; pods are numbered through: `pod1`, `pod2`, …
        more_pods: How many more the first node has; they are numbered before the next node's.
        world: Whether a host outside the cluster hangs on the wire. With it, or with more than
            two nodes, the wire is a bridge in a namespace of its own, `switch`; two nodes alone
            are joined by one veth pair.
        uplinks: How many uplinks each node and the world have, each on a wire of its own. What the
            topology routes goes over the first.
        wire_mtu: MTU of every interface on the wires, bytes.
        pod_device: What joins a pod to its node: one of `POD_DEVICES`. Empty: what the datapath
            asks for, and `veth` where it asks for nothing.
        pod_mtu: MTU of both ends of every such pair, bytes.
        offloads: Whether the interfaces keep the kernel's segmentation and checksum offloads.
        gso_max: Bytes of the largest packet that an interface sends and leaves to be cut later;
            0: as the kernel has it, 64 KiB. More is BIG TCP.
        quiet: Whether every neighbour is known beforehand, so that nothing is resolved.
    """

    nodes: int = 1
    pods_per_node: int = 1
    more_pods: int = 0
    world: bool = False
    uplinks: int = 1
    wire_mtu: int = 1500
    pod_mtu: int = 1500
    offloads: bool = True
    gso_max: int = 0
    quiet: bool = True
    pod_device: str = ""

    def __post_init__(self) -> None:
        bounds = (
            ("nodes", self.nodes, 1, MAX_NODES),
            ("pods_per_node", self.pods_per_node, 1, MAX_PODS_PER_NODE),
            ("more_pods", self.more_pods, 0, MAX_MORE_PODS),
            ("uplinks", self.uplinks, 1, len(UPLINKS)),
            ("wire_mtu", self.wire_mtu, 1280, 65535),
            ("pod_mtu", self.pod_mtu, 1280, 65535),
            ("gso_max", self.gso_max, 0, 8 * 65535),
        )
        for name, value, low, high in bounds:
            if not low <= value <= high:
                raise UnknownNameError(f"topology: {name}={value} is not between {low} and {high}")
        if self.pod_device not in ("", *POD_DEVICES):
            raise UnknownNameError(
                f"topology: pod_device={self.pod_device!r} is unknown",
                f"use {', '.join(POD_DEVICES)}",
            )

    @property
    def pods_have_macs(self) -> bool:
        """Whether pods and their nodes reach each other by MAC; an L3 netkit pair has none."""
        return self.pod_device != "netkit-l3"

    @property
    def has_wire(self) -> bool:
        """Whether the nodes have uplinks."""
        return self.nodes > 1 or self.world

    @property
    def has_switch(self) -> bool:
        """Whether the wire is a bridge instead of one veth pair."""
        return self.nodes > 2 or self.world

    def pods_on(self, node: int) -> int:
        """How many pods node number `node`, from 1, has."""
        return self.pods_per_node + (self.more_pods if node == 1 else 0)

    def node_name(self, node: int) -> str:
        """The name of node number `node`, from 1."""
        return "master" if node == 1 else f"node{node - 1}"
