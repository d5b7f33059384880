# SPDX-License-Identifier: Apache-2.0
"""The testbed: a built topology with a datapath on every node.

Tests, benchmarks, exact mode, `hostroute status --verify` and `hostroute shell` stand on it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from harness import datapath as datapaths
from harness.datapath import (
    Datapath,
    Enforces,
    Features,
    NodeDatapath,
    NodeSettings,
    Policy,
    Serves,
    Service,
)
from harness.plumbing import scratch
from harness.plumbing.closable import Closable
from harness.plumbing.errors import KernelError, UnknownNameError
from harness.plumbing.netns import NetNS
from harness.testbed.actor import Actor, Hosts, actor_of
from harness.testbed.seen import Seen
from harness.topology import Family, Host, Network, Pod, Topology
from harness.traffic import Flow, await_closed
from harness.watch.capture import HEADERS, Capture
from harness.watch.evidence import Evidence, RunCounts


def _unable(entry: NodeDatapath, lacks: str, method: str) -> UnknownNameError:
    return UnknownNameError(
        f"{entry.installed.name} on {entry.node.name} {lacks}",
        f"give what it installs a method `{method}`",
    )


class Testbed(Hosts, Closable):
    """A built topology with a datapath on every node.

    Its hosts are attributes: `testbed.pod1`, `testbed.master`, `testbed.world`.

    Attributes:
        network: The namespaces.
        name: What it is called, such as `one_node`.
        family: Address family of the traffic its hosts send by default.
        datapaths: What each node runs, in the order of the nodes; none: nothing was installed.
        captures: Every capture taken, the last one last.
    """

    __test__ = False  # not a test class, whatever pytest thinks of the name

    def __init__(
        self,
        topology: Topology,
        datapath: Datapath | None,
        family: Family = Family.ipv4,
        directory: Path | None = None,
        settings: NodeSettings | None = None,
        features: Features | None = None,
        *,
        name: str = "",
        insist: bool = False,
        reload: bool = False,
    ) -> None:
        """Build it.

        Args:
            topology: What to build.
            datapath: What every node is asked to run; None: nothing is installed.
            family: Address family of the traffic.
            directory: Where captures go; made when the first is taken. None: a scratch directory.
            settings: What the operator asked of each node.
            features: Probe results to decide by; the running kernel's by default.
            name: What the testbed is called.
            insist: Refuse to run legacy on a node that cannot have the datapath.
            reload: Load the programs anew for whoever builds next: where a program lies in memory
                moves its run time, and each build is to draw anew.

        Raises:
            KernelError: With `insist`: a node cannot run the datapath. The kernel lacks the pods'
                devices.
            UnknownNameError: The datapath cannot be attached to the topology's `pod_device`.
        """
        self.name = name
        self.family = family
        self.captures: list[Seen] = []
        self.datapaths: list[NodeDatapath] = []
        self._directory = directory
        self._scratch: Path | None = None
        self._reload = reload
        self._open: list[Seen] = []
        self._captures: list[Capture] = []
        self._evidence_open = False
        self.network = Network(datapaths.placed(topology, datapath, settings, features))
        try:
            if datapath is not None:
                nodes = self.network.nodes
                self.datapaths = datapaths.install(datapath, nodes, settings, features)
            if insist:
                self._refuse_legacy()
        except BaseException:
            self.close()
            raise

    def _refuse_legacy(self) -> None:
        for entry in self.datapaths:
            if entry.degraded:
                raise KernelError(
                    f"{entry.asked}: {entry.status()}", "name datapaths that this node can run"
                )

    @property
    def topology(self) -> Topology:
        """What was built."""
        return self.network.topology

    @property
    def directory(self) -> Path:
        """Where captures go."""
        if self._directory is None:
            self._scratch = self._directory = scratch.make("captures")
        return self._directory

    @property
    def client(self) -> Host:
        """The host that asks in measurements: the first pod; without a datapath the first node."""
        return self._ends[0]

    @property
    def server(self) -> Host:
        """The host that answers in measurements: the last pod; without a datapath the last node."""
        return self._ends[-1]

    @property
    def _ends(self) -> list[Host]:
        return [*(self.network.pods if self.datapaths else self.network.nodes)]

    def addresses(self, family: Family) -> tuple[str, str]:
        """The client's and the server's address."""
        return self.client.addresses[family], self.server.addresses[family]

    def ends(self, family: Family) -> tuple[NetNS, NetNS, Family, tuple[str, str]]:
        """What traffic between client and server is told first: where, and from whom to whom."""
        return self.client.ns, self.server.ns, family, self.addresses(family)

    def describe(self) -> dict[str, str]:
        """Node → the datapath's whole name: rules with their digests, or program tags."""
        if not self.datapaths:
            nothing = "no datapath (nothing between the ends of the wire)"
            return {node.name: nothing for node in self.network.nodes}
        return {entry.node.name: entry.installed.describe() for entry in self.datapaths}

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

    def serve(self, services: Sequence[Service]) -> None:
        """Translate other services on every node from now on, without a restart.

        Raises:
            UnknownNameError: A node translates none, or they cannot stand together.
        """
        for entry in self.datapaths:
            if not isinstance(entry.installed, Serves):
                raise _unable(entry, "cannot be given other services", "serve")
            entry.installed.serve(services)

    def enforce(self, policy: Policy) -> None:
        """Put other rules in force on every node, without a restart.

        Raises:
            UnknownNameError: A rule is of a pod that is not there, or a node knows no policy.
        """
        policy.check(pod.name for pod in self.network.pods)
        for entry in self.datapaths:
            if not isinstance(entry.installed, Enforces):
                raise _unable(entry, "knows no policy", "enforce")
            entry.installed.enforce(policy)

    def remake(self, pod: str) -> None:
        """Delete a pod and make it anew: see `Network.remake`.

        Its datapath learns of it by `sync`. An actor of before is the dead pod's: ask for another.
        """
        self.network.remake(self._pod(pod))

    def assign(self, pod: str, addresses: Sequence[str]) -> None:
        """Give a pod more addresses. Its datapath learns of them by `sync`."""
        self.network.assign(self._pod(pod), addresses)

    def withdraw(self, pod: str, address: str) -> None:
        """Take from a pod an address that it was assigned."""
        self.network.withdraw(self._pod(pod), address)

    def _pod(self, name: str) -> Pod:
        return {pod.name: pod for pod in self.network.pods}[name]

    @contextmanager
    def capture(self, snaplen: int = HEADERS, only: Collection[str] = ()) -> Iterator[Seen]:
        """Capture on every interface; the frames are there when the context has ended.

        Args:
            snaplen: Bytes kept of a frame: `capture.HEADERS`, or `capture.WHOLE` for checksums.
            only: Names of the hosts whose interfaces matter; empty: every interface.

        Raises:
            CaptureError: A capture could not be started or proven complete.
        """
        directory = self.directory / f"capture{len(self.captures) + 1}"
        names = [f"{host.name}:{ifname}" for host, ifname in self.network.interfaces()]
        seen = Seen(directory, names)
        capture = Capture(self.network, directory, snaplen, only)
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
    def evidence(self, *, track: bool = True) -> Iterator[Evidence]:
        """Read every node's counters before and after the block.

        Args:
            track: Whether conntrack is made to track on every node, so that no entry means that
                it was not asked; else a node's own rules decide.

        Raises:
            RuntimeError: Another block is open: the counters begin anew with each.
        """
        if self._evidence_open:
            raise RuntimeError("evidence is being taken already: leave that `with` block first")
        self._evidence_open = True
        try:
            with closing(Evidence(self.network, self.datapaths, track)) as evidence:
                yield evidence
                evidence.finish()
        finally:
            self._evidence_open = False

    @contextmanager
    def run_counts(self) -> Iterator[RunCounts]:
        """Count how often every program on the nodes' devices runs during the block.

        Raises:
            HarnessError: Something is being measured: counting slows every BPF program down.
            KernelError: The kernel does not count.
        """
        with RunCounts(self.network.nodes) as runs:
            yield runs
            runs.finish()

    def status(self) -> list[str]:
        """One line a node: what runs there, and why."""
        return [entry.status() for entry in self.datapaths]

    def close(self) -> None:
        """Stop captures, give programs back, let the namespaces go."""
        with ExitStack() as closing:  # one step that fails must not keep the others from running
            if self._scratch is not None:
                closing.callback(scratch.remove, self._scratch)
            closing.callback(self.network.close)
            closing.callback(await_closed)
            for entry in self.datapaths:
                if self._reload:
                    closing.callback(entry.installed.reload)
                closing.callback(entry.installed.remove)
            for capture in self._captures:
                closing.callback(capture.close)
