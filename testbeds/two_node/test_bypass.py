# SPDX-License-Identifier: Apache-2.0
"""Both nodes' stacks are bypassed: counters that prove it, and faults that would show otherwise."""

import pytest

from harness.testbed import Testbed
from testbeds.faults import forward_policy_drop, netdev_drop

PINGS = 5
NODES = ("master", "node1")


def test_hr01_programs_attached_and_hit(two_node: Testbed, datapath, family):
    claims = datapath.claims
    with two_node.run_counts() as runs, two_node.evidence() as evidence:
        two_node.pod1.ping(two_node.pod2, PINGS)
    if claims.bypasses_stack:
        entered = {"master:lxc1": PINGS, "node1:lxc2": PINGS}
        assert runs.unmatched(entered) == [], "run counts"
    else:
        assert runs.programs == [], "no attachments"
    for node in NODES if claims.counts else ():
        hits = evidence.nodes[node].programs.hits
        forwarded = hits.get(("from-container", "forward"), 0)
        resolved = hits.get(("from-container", "neigh"), 0)
        assert forwarded + resolved == PINGS, "packets forwarded"
        if claims.forwards == "neigh":
            assert forwarded == 0, "none by bpf_redirect"
        else:  # of packets in quick succession, one in a while refreshes the neighbour
            assert forwarded > 0, "some by bpf_redirect"
        assert hits.get(("from-netdev", "local"), 0) == PINGS, "from_netdev hits"
        assert hits.get(("to-netdev", "pass"), 0) == PINGS, "to_netdev hits"
        assert evidence.nodes[node].programs.drops == {}, "drops"


def _ping_both_nodes(testbed: Testbed, count):
    """Each node's own pod asks it: that traffic is the stack's on every datapath."""
    testbed.pod1.ping(testbed.master, count)
    testbed.pod2.ping(testbed.node1, count)


def test_hr02_netfilter_hooks(two_node: Testbed, datapath, family):
    with two_node.evidence() as evidence:
        exchange = two_node.pod1.ping(two_node.pod2, PINGS)
    assert exchange.lost == 0, "lost"
    expected = 0 if datapath.claims.bypasses_stack else 2 * PINGS
    hooks = dict.fromkeys(("prerouting", "forward", "postrouting"), expected)
    counted = {node: evidence.nodes[node].hooks for node in NODES}
    assert counted == dict.fromkeys(NODES, hooks), "hooks"
    with two_node.evidence() as control:  # the counters do count, on these nodes, in this run
        _ping_both_nodes(two_node, PINGS)
    assert {control.nodes[node].hooks["prerouting"] for node in NODES} == {PINGS}, "hooks do count"


def test_hr03_conntrack(two_node: Testbed, datapath, family):
    with two_node.evidence() as evidence:
        exchange = two_node.pod1.datagrams(two_node.pod2, PINGS)
    assert exchange.lost == 0, "lost"
    flow = (exchange.flow.client, exchange.flow.server)
    for node in NODES:
        entries = [(e.source, e.destination) for e in evidence.nodes[node].conntrack]
        assert entries == ([] if datapath.claims.bypasses_stack else [flow]), "conntrack"
    with two_node.evidence() as control:  # conntrack does track, on these nodes, in this run
        _ping_both_nodes(two_node, 1)
    assert [len(control.nodes[node].conntrack) for node in NODES] == [1, 1], "conntrack does track"


@pytest.mark.parametrize("node", NODES)
def test_hr04_forward_policy_drop(two_node: Testbed, datapath, family, node):
    forward_policy_drop(two_node.node(node))
    lost = (
        two_node.pod1.ping(two_node.pod2, PINGS).lost,
        two_node.pod1.datagrams(two_node.pod2).lost,
    )
    assert lost == ((0, 0) if datapath.claims.bypasses_stack else (PINGS, 1)), "lost"


@pytest.mark.parametrize("hook", ["ingress", "egress"])
def test_hr05_netdev_drop_on_the_nic(
    two_node: Testbed, datapath, family, hook, hr_observed, require_feature
):
    require_feature(f"netdev-{hook}")
    netdev_drop(two_node.master, hook)
    lost = (
        two_node.pod1.ping(two_node.pod2, PINGS).lost,
        two_node.pod1.datagrams(two_node.pod2).lost,
    )
    hr_observed("lost", sum(lost))
    assert lost == ((0, 0) if datapath.claims.bypasses_stack else (PINGS, 1)), "lost"


@pytest.mark.claims(bypasses_stack=True, delivers="lxc")
def test_hr09_bypass_as_bpf(two_node: Testbed, datapath, family):
    for node in NODES:
        forward_policy_drop(two_node.node(node))
    with two_node.evidence() as evidence:
        exchange = two_node.pod1.datagrams(two_node.pod2, PINGS)
    assert exchange.lost == 0, "lost"
    for node in NODES:
        assert set(evidence.nodes[node].hooks.values()) == {0}, "hooks"
        assert evidence.nodes[node].conntrack == [], "conntrack"
