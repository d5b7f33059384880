# SPDX-License-Identifier: Apache-2.0
"""Evidence of a whole testbed, before and after."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field

from harness.datapath import Counters, NodeDatapath
from harness.plumbing.netns import NetNS
from harness.topology import Network
from harness.watch.evidence import conntrack, links, netfilter, snmp
from harness.watch.evidence.kernel_log import KernelLog


@dataclass
class NodeEvidence:
    """What a node's counters did between two moments.

    Attributes:
        hooks: Netfilter hook → packets.
        snmp: Counter of the IP stack → packets; those that did not move are left out.
        conntrack: Entries that are new.
        programs: What the datapath's programs counted.
    """

    hooks: dict[str, int] = field(default_factory=dict)
    snmp: dict[str, int] = field(default_factory=dict)
    conntrack: list[conntrack.Entry] = field(default_factory=list)
    programs: Counters = field(default_factory=Counters)


@dataclass
class _Reading:
    snmp: dict[str, int]
    conntrack: list[conntrack.Entry]
    programs: Counters


class Evidence:
    """Readings of every node, and of every interface, before and after the traffic.

    Attributes:
        nodes: Node name → what its counters did; filled by `finish`.
        links: (`pod1:eth0`, counter) → by how much it rose; filled by `finish`.
    """

    def __init__(
        self, network: Network, datapaths: Iterable[NodeDatapath], track: bool = True
    ) -> None:
        """Put counters on every node's hooks and take the first reading.

        Args:
            network: The testbed's.
            datapaths: What its nodes run.
            track: Whether conntrack is made to track on every node; else a node's own rules decide.
        """
        self._network = network
        self._datapaths = {datapath.node.name: datapath for datapath in datapaths}
        self.nodes: dict[str, NodeEvidence] = {}
        self.links: dict[tuple[str, str], int] = {}
        self._log = KernelLog()
        self._conntrack: dict[str, conntrack.Table] = {}
        try:
            for node in network.nodes:
                self._conntrack[node.name] = conntrack.Table(node.ns)
            with netfilter.install(self._namespaces, track) as installing:
                self._before = self._read_nodes()
                self._links_before = self._read_links()
                installing.outputs()
        except BaseException:
            self.close()
            raise

    @property
    def _namespaces(self) -> list[NetNS]:
        return [node.ns for node in self._network.nodes]

    def _read_nodes(self) -> dict[str, _Reading]:
        return {
            node.name: _Reading(
                snmp.read(node.ns),
                self._conntrack[node.name].read(),
                self._datapaths[node.name].installed.counters(),
            )
            for node in self._network.nodes
        }

    def _read_links(self) -> dict[tuple[str, str], int]:
        return {
            (f"{host.name}:{interface}", counter): value
            for host in self._network.hosts
            for interface, counters in links.read(host).items()
            for counter, value in counters.items()
        }

    def finish(self) -> None:
        """Take the second reading; call it when the traffic has ended."""
        self._log.collect()
        with netfilter.ask(self._namespaces) as asking:
            links_after = self._read_links()
            after = self._read_nodes()
            hooks = netfilter.told(asking)
        self.links = {key: value - self._links_before[key] for key, value in links_after.items()}
        for (name, now), counted in zip(after.items(), hooks, strict=True):
            before = self._before[name]
            known = list(before.conntrack)
            self.nodes[name] = NodeEvidence(
                counted,
                {
                    key: value - before.snmp.get(key, 0)
                    for key, value in now.snmp.items()
                    if value != before.snmp.get(key, 0)
                },
                [entry for entry in now.conntrack if not _take(known, entry)],
                now.programs - before.programs,
            )

    def splats(self) -> list[str]:
        """Kernel splats between the readings; the log is the machine's, no namespace has one.

        Raises:
            PrivilegeError: The log cannot be read: nothing is proven.
        """
        return self._log.splats()

    def close(self) -> None:
        """Close the log and the sockets."""
        with ExitStack() as closing:  # one that fails must not keep the others open
            closing.callback(self._log.close)
            for table in self._conntrack.values():
                closing.callback(table.close)


def _take(entries: list[conntrack.Entry], entry: conntrack.Entry) -> bool:
    """Remove one equal entry; whether there was one."""
    if entry in entries:
        entries.remove(entry)
        return True
    return False
