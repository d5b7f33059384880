# SPDX-License-Identifier: Apache-2.0
"""Nodes of which the truth is known: what `inspect` says of each is held against it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.datapath import DATAPATHS, Datapath
from harness.datapath.brought import read
from harness.datapath.legacy import Legacy
from harness.plumbing import process
from harness.testbed import Testbed
from harness.topology import Family
from testbeds.mutants.mutant import patch
from tests.support import agent_example, elf_example
from tests.support import foreign_programs as foreign

PINGS = 200
_REWRITE = "	if (decrement_ttl(skb, pkt) || write_macs(skb, pod->mac, pod->lxc_mac))\n"
_FLOWTABLE = """
table inet fast {
    flowtable pods { hook ingress priority 0; devices = { lxc1, lxc2 }; }
    chain forward {
        type filter hook forward priority 0; policy accept;
        meta l4proto tcp flow add @pods
    }
}
"""
#: As Docker writes them: it drops what none of its networks has asked for.
_DOCKER = """*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-I FORWARD -j DOCKER-USER
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A FORWARD -j DOCKER
-A DOCKER-USER -i lxc+ -j ACCEPT
COMMIT
"""


def exchange(testbed: Testbed) -> None:
    """Pings, datagrams and a stream between the pods, of both families."""
    for testbed.family in Family:
        testbed.pod1.ping(testbed.pod2, PINGS)
        testbed.pod1.datagrams(testbed.pod2, 5)
        testbed.pod1.stream(testbed.pod2, 200_000)


def ask(testbed: Testbed) -> None:
    """Pings alone: nothing but pods that nobody answers needs more."""
    testbed.pod1.ping(testbed.pod2, 3)


def nothing(testbed: Testbed) -> None:
    """No traffic."""


def leaking(condition: str) -> Callable[[Path], Datapath]:
    """`bpf` that leaves local packets to the stack where a condition of its C source holds."""
    code = f"	if ({condition})\n		return to_stack(program);\n{_REWRITE}"
    patches = patch("local_delivery.c", _REWRITE, code)
    bpf: Any = DATAPATHS["bpf"]
    return lambda _: replace(bpf, patches=patches)


def bundled(name: str) -> Callable[[Path], Datapath]:
    """A bundled datapath."""
    return lambda _: DATAPATHS[name]


def docker(testbed: Testbed) -> None:
    """Docker's rules on the node."""
    for tool in ("iptables-restore", "ip6tables-restore"):
        with testbed.network.nodes[0].ns:
            process.run([tool, "--noflush"], _DOCKER)


def program_that(verdict: int) -> Callable[[Testbed], None]:
    """A program without helpers at both pods' devices, which returns one verdict."""

    def prepare(testbed: Testbed) -> None:
        for lxc in ("lxc1", "lxc2"):
            with foreign.attached(testbed.master.host, lxc, verdict):
                pass

    return prepare


def bridge(testbed: Testbed) -> None:
    """Both pods on a bridge of the node: frames between them come to no router."""
    node = testbed.network.nodes[0]
    node.ns.netlink.link("add", kind="bridge", ifname="cni0", br_mcast_snooping=0)
    master = node.ifindex("cni0")
    for pod in node.pods:
        node.ns.netlink.link("set", index=node.ifindex(pod.lxc), master=master)
    node.up("cni0")
    one, two = node.pods
    for pod, other in ((one, two), (two, one)):
        for family in Family:
            address = other.addresses[family]
            pod.add_route(f"{address}/{family.host_prefix}", dev="eth0")
            pod.add_neighbour("eth0", address, other.mac)


def cold(testbed: Testbed) -> None:
    """Pods that have to ask for their gateway's MAC: a program answers, and took a packet away."""
    node = testbed.network.nodes[0]
    for pod in node.pods:
        for family in Family:
            pod.delete_neighbour("eth0", node.gateway[family])


@dataclass(frozen=True)
class Node:
    """A node, and what is true of it.

    Attributes:
        truth: `BPF`, `Legacy`, `mixed` or `not seen`.
        datapath: Gives what it runs; takes a directory.
        testbed: The testbed that it is the first node of.
        prepare: What is done to it before anybody looks.
        traffic: What its pods do while it is looked at.
        remark: What has to be among the remarks, in part.
        takes: What a kernel may lack.
        by_proc: What can be said of it where nothing is counted in the stack; "": the truth.
    """

    truth: str
    datapath: Callable[[Path], Datapath]
    testbed: str = "one_node"
    prepare: Callable[[Testbed], None] = nothing
    traffic: Callable[[Testbed], None] = exchange
    remark: str = ""
    takes: str = ""
    by_proc: str = ""


_HUNDREDTH = (
    "({ __be16 n = 0; u32 l4 = 14 + (pkt->family == 2 ? 20 : 40);"
    " pkt->protocol != 6 && pkt->protocol != 17 &&"
    " !bpf_skb_load_bytes(skb, l4 + 6, &n, 2) && bpf_ntohs(n) % 100 == 0; })"
)

NODES: dict[str, Node] = {
    "bpf": Node("BPF", bundled("bpf")),
    "bpf, two nodes": Node("BPF", bundled("bpf"), "two_node"),
    "bpf-redirect": Node("BPF", bundled("bpf-redirect")),
    "bpf-redirect, two nodes": Node("BPF", bundled("bpf-redirect"), "two_node"),
    "bpf-skip-fib, two nodes": Node("BPF", bundled("bpf-skip-fib"), "two_node"),
    "bpf-tcx": Node("BPF", bundled("bpf-tcx"), takes="TCX (since 6.6)"),
    "bpf-tcx, two nodes": Node("BPF", bundled("bpf-tcx"), "two_node", takes="TCX (since 6.6)"),
    "bpf-netkit": Node("BPF", bundled("bpf-netkit"), takes="CONFIG_NETKIT (since 6.7)"),
    "bpf-netkit, two nodes": Node(
        "BPF", bundled("bpf-netkit"), "two_node", takes="CONFIG_NETKIT (since 6.7)"
    ),
    "examples/elf": Node("BPF", lambda path: read(elf_example.example(path)), "two_node"),
    "examples/agent": Node("BPF", lambda path: read(agent_example.example(path)), "two_node"),
    "legacy": Node("Legacy", bundled("legacy")),
    "legacy, two nodes": Node("Legacy", bundled("legacy"), "two_node"),
    "legacy with Docker's rules": Node("Legacy", bundled("legacy"), prepare=docker),
    "legacy with a flowtable": Node(
        "Legacy",
        lambda _: Legacy(nft=_FLOWTABLE),
        remark="before FORWARD by a flowtable",
        takes="CONFIG_NF_FLOW_TABLE",
        by_proc="not seen",
    ),
    "a bridge": Node(
        "Legacy", bundled("legacy"), prepare=bridge, remark="by a bridge", by_proc="not seen"
    ),
    "programs that let everything pass": Node(
        "Legacy", bundled("legacy"), prepare=program_that(foreign.OK)
    ),
    "programs that drop everything": Node(
        "not seen", bundled("legacy"), prepare=program_that(foreign.SHOT), traffic=ask
    ),
    "leaks one packet of a hundred": Node("mixed", leaking(_HUNDREDTH)),
    "leaks one direction": Node("mixed", leaking("skb->ifindex % 2 == 0")),
    "leaks one family": Node("mixed", leaking("pkt->family != 2")),
    "leaks TCP alone": Node("mixed", leaking("pkt->protocol == 6")),
    "programs that only answer ARP": Node("Legacy", leaking("1"), prepare=cold),
    "bpf without traffic": Node("not seen", bundled("bpf"), traffic=nothing),
    "legacy without traffic": Node("not seen", bundled("legacy"), traffic=nothing),
}
