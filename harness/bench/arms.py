# SPDX-License-Identifier: Apache-2.0
"""An arm: one datapath on one testbed, or the limit, which names itself whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness import datapath as datapaths
from harness.datapath import DATAPATHS, NodeSettings
from harness.results.part import PodDevice, pod_device
from harness.testbed import Testbed
from harness.topology import Topology


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
            UnknownNameError: The datapath is not registered.
        """
        return self.datapath is not None and datapaths.find(self.datapath).claims.bypasses_stack

    @property
    def pod_device(self) -> PodDevice | None:
        """What joins pods to their nodes; None: the limit, whose pods stay idle.

        Raises:
            UnknownNameError: The datapath is not registered.
        """
        if self.datapath is None:
            return None
        chosen = datapaths.find(self.datapath)
        return pod_device(datapaths.placed(self.topology, chosen, self.settings).pod_device)

    def build(self) -> Testbed:
        """Build it; `with` takes it down again.

        Raises:
            KernelError: A node cannot run the datapath: a comparison under its name would lie.
            UnknownNameError: The datapath is not registered.
        """
        chosen = datapaths.find(self.datapath) if self.datapath is not None else None
        return Testbed(
            self.topology, chosen, settings=self.settings, name=self.testbed,
            insist=True, reload=True,
        )  # fmt: skip


def bypass_against_stack(arms: Sequence[str], baseline: str) -> list[tuple[str, str]]:
    """Pairs of arms (what bypasses the stack, what does not), one of them the baseline.

    Args:
        arms: Labels of arms. Labels that are not datapaths, such as the limit, are ignored.
        baseline: The label of one of them.
    """
    bypass = {name: DATAPATHS[name].claims.bypasses_stack for name in arms if name in DATAPATHS}
    return [
        (fast, slow)
        for fast in bypass
        for slow in bypass
        if bypass[fast] and not bypass[slow] and baseline in (fast, slow)
    ]


def limit(testbed: str) -> Arm:
    """What no datapath can be better than: two namespaces joined by one veth, nothing between.

    They are the nodes of a testbed of two, whose wire is that veth. Nothing is installed on them,
    and their pods stay idle.
    """
    return Arm(None, testbed, Topology(nodes=2, pods_per_node=1))
