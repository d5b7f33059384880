# SPDX-License-Identifier: Apache-2.0
"""An arm: one datapath on one testbed, which names itself whole. Floor 7."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from types import TracebackType

from harness import datapath as datapaths
from harness.bench.environment import network_facts
from harness.datapath import NodeDatapath, NodeSettings
from harness.errors import KernelError
from harness.topology import Family, Network, Pod, Topology


@dataclass(frozen=True)
class Arm:
    """What is to be built.

    Attributes:
        datapath: Its name in `harness.datapath.DATAPATHS`.
        testbed: The testbed's name, for reports.
        topology: What the testbed is made of.
        settings: What every node's operator asked for, the legacy services among them.
    """

    datapath: str
    testbed: str
    topology: Topology
    settings: NodeSettings = field(default_factory=NodeSettings)

    def to_json(self) -> dict[str, object]:
        """For a record; what was then built is in `BuiltArm.describe`."""
        return asdict(self)


class BuiltArm:
    """An arm's own network with its datapath on every node; `with` takes it down again.

    Attributes:
        arm: What was asked for.
        network: The namespaces.
        datapaths: What runs, in the order of the nodes.
    """

    def __init__(self, arm: Arm) -> None:
        """Build.

        Raises:
            KernelError: A node cannot run the datapath: a comparison under its name would lie.
            UnknownNameError: There is no such datapath.
        """
        self.arm = arm
        self.datapaths: list[NodeDatapath] = []
        chosen = datapaths.find(arm.datapath)
        self._closing = ExitStack()
        try:
            self.network = self._closing.enter_context(Network(arm.topology))
            for node in self.network.nodes:
                entry = datapaths.install(chosen, node, arm.settings)
                self._closing.callback(entry.installed.remove)
                self.datapaths.append(entry)
                if entry.degraded:
                    raise KernelError(
                        f"arm {arm.datapath}: {entry.status()}", "compare datapaths this node runs"
                    )
        except BaseException:
            self.close()
            raise

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

    @property
    def client(self) -> Pod:
        """The pod that asks: the first."""
        return self.network.pods[0]

    @property
    def server(self) -> Pod:
        """The pod that answers: the last, on the last node."""
        return self.network.pods[-1]

    def addresses(self, family: Family) -> tuple[str, str]:
        """The client's and the server's address."""
        return self.client.addresses[family], self.server.addresses[family]

    def describe(self) -> dict[str, str]:
        """Node → the datapath's whole name: rules with their digests, or program tags."""
        return {entry.node.name: entry.installed.describe() for entry in self.datapaths}

    def facts(self) -> dict[str, object]:
        """Sysctls, MTUs and offloads it was measured with."""
        return network_facts(self.network)
