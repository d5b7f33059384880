# SPDX-License-Identifier: Apache-2.0
"""The testbed: what a test holds in its hands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from harness import datapath as datapaths
from harness.datapath import Datapath, Features, NodeDatapath, NodeSettings
from harness.testbed.actor import Actor, Hosts, actor_of
from harness.testbed.seen import Seen
from harness.topology import Family, Network, Topology
from harness.traffic import Flow
from harness.watch.capture import HEADERS, Capture
from harness.watch.evidence import Evidence


class Testbed(Hosts):
    """A built topology with a datapath on every node.

    Its hosts are attributes: `testbed.pod1`, `testbed.master`, `testbed.world`.

    Attributes:
        network: The namespaces.
        family: Address family of the traffic its hosts send by default.
        datapaths: What each node runs, in the order of the nodes.
        captures: Every capture taken, the last one last.
        directory: Where captures go.
    """

    __test__ = False  # not a test class, whatever pytest thinks of the name

    def __init__(
        self,
        topology: Topology,
        datapath: Datapath,
        family: Family,
        directory: Path,
        settings: NodeSettings | None = None,
        features: Features | None = None,
    ) -> None:
        """Build it.

        Args:
            topology: What to build.
            datapath: What every node is asked to run.
            family: Address family of the traffic.
            directory: Where captures go; made when the first is taken.
            settings: What the operator asked of each node.
            features: Probe results to decide by; the running kernel's by default.
        """
        self.family = family
        self.directory = directory
        self.captures: list[Seen] = []
        self.datapaths: list[NodeDatapath] = []
        self._open: list[Seen] = []
        self._captures: list[Capture] = []
        self._evidence_open = False
        self.network = Network(topology)
        try:
            self.datapaths = datapaths.install(datapath, self.network.nodes, settings, features)
        except BaseException:
            self.close()
            raise

    def __getattr__(self, name: str) -> Actor:
        if name.startswith("_") or "network" not in self.__dict__:
            raise AttributeError(name)
        try:
            host = self.network.host(name)
        except KeyError:
            hosts = ", ".join(host.name for host in self.network.hosts)
            raise AttributeError(f"the testbed has no host {name!r}; it has {hosts}") from None
        return actor_of(host, self.family, self._record)

    def _record(self, flow: Flow) -> None:
        for seen in self._open:
            seen.flows.append(flow)

    def datapath_of(self, node: str) -> NodeDatapath:
        """What a node runs."""
        return {entry.node.name: entry for entry in self.datapaths}[node]

    @contextmanager
    def capture(self, snaplen: int = HEADERS) -> Iterator[Seen]:
        """Capture on every interface; the frames are there when the context has ended.

        Args:
            snaplen: Bytes kept of a frame: `capture.HEADERS`, or `capture.WHOLE` for checksums.

        Raises:
            CaptureError: A capture could not be started or proven complete.
        """
        directory = self.directory / f"capture{len(self.captures) + 1}"
        names = [f"{host.name}:{ifname}" for host, ifname in self.network.interfaces()]
        seen = Seen(directory, names)
        capture = Capture(self.network, directory, snaplen)
        self._captures.append(capture)
        self.captures.append(seen)
        self._open.append(seen)
        try:
            yield seen
            seen.frames = capture.finish()
            seen.complete = True
        finally:
            self._open.remove(seen)

    @contextmanager
    def evidence(self) -> Iterator[Evidence]:
        """Read every node's counters before and after the block.

        Raises:
            RuntimeError: Another block is open: the counters begin anew with each.
        """
        if self._evidence_open:
            raise RuntimeError("evidence is being taken already: leave that `with` block first")
        self._evidence_open = True
        try:
            with closing(Evidence(self.network, self.datapaths)) as evidence:
                yield evidence
                evidence.finish()
        finally:
            self._evidence_open = False

    def status(self) -> list[str]:
        """One line a node: what runs there, and why."""
        return [entry.status() for entry in self.datapaths]

    def close(self) -> None:
        """Stop captures, give programs back, let the namespaces go."""
        with ExitStack() as closing:  # one step that fails must not keep the others from running
            closing.callback(self.network.close)
            for entry in self.datapaths:
                closing.callback(entry.installed.remove)
            for capture in self._captures:
                closing.callback(capture.close)
