# SPDX-License-Identifier: Apache-2.0
"""Whether host routing does what it claims, seen on a testbed that is built for it.

One ping a family crosses each testbed with the datapath asked for, and once more with `legacy`:
that the stack's counters stay at zero means something only where they would have moved. Where a
node is asked for services in BPF, a datagram to a service takes the ping's place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from harness.attach import Listed, all_attachments
from harness.bpf.pool import unload_idle
from harness.datapath import Datapath, Features, NodeSettings, find
from harness.datapath.services import Backend, Service
from harness.testbed import Testbed
from harness.topology import TESTBEDS, Family, addressing
from harness.traffic import Form, Front
from harness.watch.evidence import NodeEvidence

#: Testbed → host-side devices of its pods, each of which a packet of a ping enters.
_ENTERED = {"one_node": ("master:lxc1", "master:lxc2"), "two_node": ("master:lxc1", "node1:lxc2")}
#: Testbed → verdicts of the programs, with how many packets of a ping each of its nodes gives it.
_PACKETS: dict[str, dict[tuple[str, ...], int]] = {
    "one_node": {("local",): 2},
    "two_node": {("local",): 1, ("forward", "neigh"): 1},
}
#: Testbed → pod2, which answers for the service that is asked where services are.
_BACKENDS = {"one_node": addressing.pod(1, 2), "two_node": addressing.pod(2, 1)}
_SERVICE = addressing.Addresses("172.16.0.80", "fd00:5e::80")
_PORT, _BACKEND_PORT = 80, 8080
_DONE = {("local",): "delivered", ("forward", "neigh"): "sent off the node"}


@dataclass(frozen=True)
class Passage:
    """What one ping through a node left behind.

    Attributes:
        testbed: The testbed it crossed.
        node: The node's name.
        family: Its address family.
        asked: What crossed it, in words.
        answered: Whether the reply came, from the address that was asked.
        runs: The whole name of what the node runs.
        attached: Programs on the node's hooks, as the kernel lists them.
        evidence: What the node's counters did.
        idle: Pods' devices at which no program ran for the packets that entered, each in words.
        counts: Whether the programs count what they did, by their own account.
    """

    testbed: str
    node: str
    family: Family
    asked: str
    answered: bool
    runs: str
    attached: tuple[Listed, ...]
    evidence: NodeEvidence
    idle: tuple[str, ...]
    counts: bool

    def lines(self) -> list[str]:
        """For the terminal."""
        hooks = ", ".join(f"{hook} {count}" for hook, count in self.evidence.hooks.items())
        return [
            f"answered   {'yes' if self.answered else 'no'}",
            f"runs       {self.runs}",
            *(f"attached   {each}" for each in self.attached),
            *(["attached   nothing"] if not self.attached else []),
            f"programs   {self.evidence.programs}",
            f"netfilter  {hooks}",
            f"conntrack  {len(self.evidence.conntrack)} new",
        ]  # fmt: skip

    def as_json(self) -> dict[str, object]:
        """For machines."""
        programs = self.evidence.programs
        return {
            "testbed": self.testbed,
            "node": self.node,
            "family": self.family.name,
            "answered": self.answered,
            "runs": self.runs,
            "attached": [vars(attachment) for attachment in self.attached],
            "idle": self.idle,
            "hits": {f"{name} {verdict}": n for (name, verdict), n in programs.hits.items()},
            "drops": programs.drops,
            "fib": programs.fib,
            "netfilter": self.evidence.hooks,
            "conntrack": len(self.evidence.conntrack),
        }


@dataclass(frozen=True)
class Proof:
    """Passages of the datapath and of the legacy control, and what speaks against the claim.

    Attributes:
        passages: One for each testbed, family and node, with the datapath.
        control: The same with `legacy`.
        doubts: What was not as claimed; none: it is proven.
    """

    passages: tuple[Passage, ...]
    control: tuple[Passage, ...]
    doubts: tuple[str, ...]

    @property
    def proven(self) -> bool:
        """Whether everything was as claimed."""
        return not self.doubts


def _service(name: str, family: Family) -> Service:
    backend = Backend(_BACKENDS[name][family], _BACKEND_PORT)
    return Service(_SERVICE[family], _PORT, "udp", (backend,))


def _ping(testbed: Testbed) -> bool:
    return not testbed.pod1.ping(testbed.pod2).lost


def _ask_service(testbed: Testbed) -> bool:
    """Whether the backend is asked at its own address, and the client answered from the front's."""
    pod1, pod2 = testbed.pod1, testbed.pod2
    forms = {"b": Form(destination=pod2.address, destination_port=_BACKEND_PORT)}
    front = Front(_SERVICE[testbed.family], _PORT, _BACKEND_PORT)
    with testbed.capture(only=("pod1", "pod2")) as seen:
        lost = pod1.datagrams(pod2, front=front, forms=forms).lost
    ways = (("pod2:eth0", "request.b", "in"), ("pod1:eth0", "reply", "in"))
    return not lost and all(len(seen.at(*way)) == 1 for way in ways)


def _pass(
    name: str, datapath: Datapath, family: Family, settings: NodeSettings, features: Features
) -> Iterator[Passage]:  # fmt: skip
    """One for each node of a testbed."""
    topology = TESTBEDS.find(name).topology
    asked, ask = "ping", _ping
    if settings.services == "bpf":
        asked, ask = "datagram to a service", _ask_service
        settings = replace(settings, used_services=(_service(name, family),))
    with Testbed(topology, datapath, family, None, settings, features, name=name) as testbed:
        with testbed.run_counts() as runs, testbed.evidence() as evidence:
            answered = ask(testbed)
        idle = runs.unmatched(dict.fromkeys(_ENTERED[name], 1))
        for entry in testbed.datapaths:
            node = entry.node.name
            yield Passage(
                name, node, family, asked, answered, entry.installed.describe(),
                tuple(sorted(all_attachments(entry.node.ns), key=str)), evidence.nodes[node],
                tuple(line for line in idle if line.startswith(f"{node}:")),
                datapath.claims.counts,
            )  # fmt: skip


def _doubts_of_bypass(passage: Passage) -> list[str]:
    """What a passage shows that a bypass of the stack would not."""
    doubts = []
    evidence = passage.evidence
    entered = [f"{hook} {count}" for hook, count in evidence.hooks.items() if count]
    if not passage.attached:
        doubts.append("no program is attached")
    doubts += passage.idle
    if passage.counts:
        doubts += _doubts_of_counters(passage)
    if entered:
        doubts.append(f"netfilter saw packets ({', '.join(entered)})")
    if evidence.conntrack:
        doubts.append(f"conntrack has {len(evidence.conntrack)} new entries")
    return doubts


def _doubts_of_counters(passage: Passage) -> Iterator[str]:
    """What programs that count show: which they are, and how many packets they took."""
    for a in passage.attached:
        if f"{a.program}={a.tag}" not in passage.runs:
            yield f"{a.interface} runs a program of another tag"
    programs = passage.evidence.programs
    for verdicts, packets in _PACKETS[passage.testbed].items():
        hits = sum(n for (_, verdict), n in programs.hits.items() if verdict in verdicts)
        if hits != packets:
            yield f"the programs {_DONE[verdicts]} {hits} packets, not {packets}"


def _doubts_of_stack(passage: Passage) -> list[str]:
    """What a passage lacks that one through the stack would show."""
    silent = [hook for hook, count in passage.evidence.hooks.items() if not count]
    doubts = []
    if passage.attached:
        doubts.append(f"{len(passage.attached)} programs are attached")
    if silent:
        doubts.append(f"netfilter saw nothing at {', '.join(silent)}")
    if not passage.evidence.conntrack:
        doubts.append("conntrack has no new entry")
    return doubts


def prove(datapath: Datapath, settings: NodeSettings, features: Features, claimed: bool) -> Proof:
    """Build, ping, look.

    Args:
        datapath: What the node is asked for.
        settings: The node's.
        features: What the kernel can do.
        claimed: Whether host routing is said to be BPF.
    """
    try:
        passages, control = (
            tuple(
                passage
                for name in _PACKETS
                for family in Family
                for passage in _pass(name, arm, family, settings, features)
            )
            for arm in (datapath, find("legacy"))
        )
    finally:
        unload_idle()
    doubts = []
    for rows, label, judge in (
        (passages, "", _doubts_of_bypass if claimed else _doubts_of_stack),
        (control, "the legacy control: ", _doubts_of_stack),
    ):
        for passage in rows:
            silence = [] if passage.answered else [f"the {passage.asked} was not answered"]
            found = silence + judge(passage)
            where = f"{passage.testbed} {passage.node} {passage.family.name}"
            doubts += [f"{where}: {label}{doubt}" for doubt in found]
    return Proof(passages, control, tuple(doubts))
