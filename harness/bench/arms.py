# SPDX-License-Identifier: Apache-2.0
"""An arm: one datapath on one testbed, or the limit, which names itself whole."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType

from harness import datapath as datapaths
from harness.bench.provenance import network_facts
from harness.datapath import Datapath, NodeDatapath, NodeSettings
from harness.datapath.bpf import InstalledBpf
from harness.plumbing.errors import KernelError
from harness.plumbing.netns import NetNS
from harness.results.comparison import HostFacts
from harness.topology import Family, Host, Network, Topology


@dataclass(frozen=True)
class Arm:
    """What is to be built.

    Attributes:
        datapath: Its name in `harness.datapath.DATAPATHS`; None: the limit.
        testbed: The testbed's name, for reports.
        topology: What the testbed is made of.
        settings: What every node's operator asked for, the legacy services among them.
    """

    datapath: str | None
    testbed: str
    topology: Topology
    settings: NodeSettings = field(default_factory=NodeSettings)

    @property
    def has_programs(self) -> bool:
        """Whether BPF programs forward its traffic.

        Raises:
            UnknownNameError: There is no such datapath.
        """
        return self.datapath is not None and datapaths.find(self.datapath).host_routing


def limit(testbed: str) -> Arm:
    """What no datapath can be better than: two namespaces joined by one veth, nothing between.

    They are the nodes of a testbed of two, whose wire is that veth. Nothing is installed on them,
    and their pods stay idle.
    """
    return Arm(None, testbed, Topology(nodes=2, pods_per_node=1))


class BuiltArm:
    """An arm's own network with its datapath on every node; `with` takes it down again.

    Attributes:
        arm: What was asked for.
        network: The namespaces.
        datapaths: What runs, in the order of the nodes; nothing for the limit.
        client: The host that asks: the first pod.
        server: The host that answers: the last pod, on the last node.
    """

    def __init__(self, arm: Arm) -> None:
        """Build.

        Raises:
            KernelError: A node cannot run the datapath: a comparison under its name would lie.
            UnknownNameError: There is no such datapath.
        """
        self.arm = arm
        self.datapaths: list[NodeDatapath] = []
        self._closing = ExitStack()
        chosen = datapaths.find(arm.datapath) if arm.datapath is not None else None
        try:
            self.network = self._closing.enter_context(Network(arm.topology))
            ends: list[Host] = [*(self.network.nodes if chosen is None else self.network.pods)]
            self.client, self.server = ends[0], ends[-1]
            if chosen is not None:
                self._install(chosen)
        except BaseException:
            self.close()
            raise

    def _install(self, chosen: Datapath) -> None:
        self.datapaths = datapaths.install(chosen, self.network.nodes, self.arm.settings)
        for entry in self.datapaths:
            if isinstance(entry.installed, InstalledBpf):
                # A module serves many builds: each is to draw anew where its programs lie.
                self._closing.callback(entry.installed.module.reload)
            self._closing.callback(entry.installed.remove)
        for entry in self.datapaths:
            if entry.degraded:
                raise KernelError(
                    f"arm {self.arm.datapath}: {entry.status()}", "compare datapaths this node runs"
                )

    def __enter__(self) -> BuiltArm:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the programs back and let the namespaces go."""
        self._closing.close()

    def addresses(self, family: Family) -> tuple[str, str]:
        """The client's and the server's address."""
        return self.client.addresses[family], self.server.addresses[family]

    def ends(self, family: Family) -> tuple[NetNS, NetNS, Family, tuple[str, str]]:
        """What traffic between client and server is told first: where, and from whom to whom."""
        return self.client.ns, self.server.ns, family, self.addresses(family)

    def describe(self) -> dict[str, str]:
        """Node → the datapath's whole name: rules with their digests, or program tags."""
        if not self.datapaths:
            wire = "no datapath (one veth pair, nothing between its ends)"
            return {node.name: wire for node in self.network.nodes}
        return {entry.node.name: entry.installed.describe() for entry in self.datapaths}

    def facts(self) -> dict[str, HostFacts]:
        """Sysctls, MTUs and offloads it was measured with."""
        return network_facts(self.network)
