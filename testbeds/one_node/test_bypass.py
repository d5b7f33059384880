# SPDX-License-Identifier: Apache-2.0
"""The node's stack is bypassed: counters that prove it, and faults that would show otherwise.

Zeros mean nothing without the legacy arm's non-zeros: every test runs on both.
"""

import os

import pytest

from harness.testbed import Testbed
from harness.traffic.fence import pinned
from harness.watch.evidence import BacklogCounter
from testbeds.faults import forward_policy_drop, tc_egress_drop

PINGS = 5


def test_hr01_programs_attached_and_hit(one_node: Testbed, datapath, family):
    with one_node.run_counts() as runs, one_node.evidence() as evidence:
        one_node.pod1.ping(one_node.pod2, PINGS)
    if datapath.claims.bypasses_stack:
        entered = {"master:lxc1": PINGS, "master:lxc2": PINGS}
        assert runs.unmatched(entered) == [], "run counts"
    else:
        assert runs.programs == [], "no attachments"
    counted = {("from-container", "local"): 2 * PINGS} if datapath.claims.counts else {}
    assert evidence.nodes["master"].programs.hits == counted, "hits"


def test_hr02_netfilter_hooks(one_node: Testbed, datapath, family):
    with one_node.evidence() as evidence:
        exchange = one_node.pod1.ping(one_node.pod2, PINGS)
    assert exchange.lost == 0, "lost"
    expected = 0 if datapath.claims.bypasses_stack else 2 * PINGS
    hooks = ("prerouting", "forward", "postrouting")
    assert evidence.nodes["master"].hooks == dict.fromkeys(hooks, expected), "hooks"
    with one_node.evidence() as control:  # the counters do count, on this node, in this run
        one_node.pod1.ping(one_node.master, PINGS)
    assert control.nodes["master"].hooks["prerouting"] == PINGS, "hooks do count"


RECEIVED = {4: "IpInReceives", 6: "Ip6InReceives"}
FORWARDED = {4: "IpForwDatagrams", 6: "Ip6OutForwDatagrams"}


def test_hr02_stack_counters(one_node: Testbed, datapath, family, hr_observed):
    with one_node.evidence() as evidence:
        exchange = one_node.pod1.ping(one_node.pod2, PINGS)
    assert exchange.lost == 0, "lost"
    snmp = evidence.nodes["master"].snmp
    received, forwarded = RECEIVED[family], FORWARDED[family]
    for name in (received, forwarded):
        hr_observed(name, snmp.get(name, 0))
    expected = 0 if datapath.claims.bypasses_stack else 2 * PINGS
    assert (snmp.get(received, 0), snmp.get(forwarded, 0)) == (expected, expected), "stack counters"


def test_hr03_conntrack(one_node: Testbed, datapath, family):
    with one_node.evidence() as evidence:
        exchange = one_node.pod1.datagrams(one_node.pod2, PINGS)
    assert exchange.lost == 0, "lost"
    entries = [(entry.source, entry.destination) for entry in evidence.nodes["master"].conntrack]
    flow = (exchange.flow.client, exchange.flow.server)
    assert entries == ([] if datapath.claims.bypasses_stack else [flow]), "conntrack"
    with one_node.evidence() as control:  # conntrack does track, on this node, in this run
        one_node.pod1.ping(one_node.master)
    assert len(control.nodes["master"].conntrack) == 1, "conntrack does track"


def test_hr04_forward_policy_drop(one_node: Testbed, datapath, family, hr_observed):
    forward_policy_drop(one_node.master)
    with one_node.evidence() as evidence:
        exchange = one_node.pod1.ping(one_node.pod2, PINGS)
        datagrams = one_node.pod1.datagrams(one_node.pod2, PINGS)
    # Counted behind the hook that drops them; before it since b4a11b2033b7 (6.7).
    counted = evidence.nodes["master"].snmp.get(FORWARDED[family], 0)
    hr_observed(f"{FORWARDED[family]} of the dropped", counted)
    expected = 0 if datapath.claims.bypasses_stack else PINGS
    assert (exchange.lost, datagrams.lost) == (expected, expected), "lost"


@pytest.mark.claims(bypasses_stack=True, delivers="lxc")
def test_hr09_legs_as_legacy_bypass_as_bpf(one_node: Testbed, datapath, family):
    forward_policy_drop(one_node.master)
    with one_node.evidence() as evidence, one_node.capture() as seen:
        one_node.pod1.ping(one_node.pod2, PINGS)
    expected = """
        pod1:eth0      > request    < reply
        master:lxc1    < request    > reply
        master:lxc2    > request    < reply
        pod2:eth0      < request    > reply
    """
    assert seen.legs() == expected
    assert set(evidence.nodes["master"].hooks.values()) == {0}, "hooks"
    assert evidence.nodes["master"].conntrack == [], "conntrack"


def test_hr11_tc_egress_drop_on_the_servers_lxc(one_node: Testbed, datapath, family, hr_observed):
    with tc_egress_drop(one_node.master, "lxc2"):
        exchange = one_node.pod1.ping(one_node.pod2, PINGS)
        datagrams = one_node.pod1.datagrams(one_node.pod2, PINGS)
    hr_observed("lost", exchange.lost)
    expected = PINGS if datapath.claims.delivers != "peer" else 0
    assert (exchange.lost, datagrams.lost) == (expected, expected), "lost"


def test_hr43_host_route_deleted_and_rp_filter_on(one_node: Testbed, datapath, family):
    master = one_node.master
    for pod in (one_node.pod1, one_node.pod2):
        prefix = f"{pod.address}/{family.host_prefix}"
        master.delete_route(prefix, dev=pod.lxc)
    for device in ("all", "lxc1", "lxc2"):
        master.ns.sysctl(f"ipv4/conf/{device}/rp_filter", 1)
    exchange = one_node.pod1.ping(one_node.pod2, PINGS)
    datagrams = one_node.pod1.datagrams(one_node.pod2, PINGS)
    expected = 0 if datapath.claims.local_pods == "table" else PINGS
    assert (exchange.lost, datagrams.lost) == (expected, expected), "lost"


def test_hr02_tcp_too(one_node: Testbed, datapath, family):
    with one_node.evidence() as evidence:
        transfer = one_node.pod1.stream(one_node.pod2, 100_000)
    assert transfer.received_sha256 == transfer.sent_sha256, "stream intact"
    forwarded = evidence.nodes["master"].hooks["forward"]
    assert (forwarded > 0) == (not datapath.claims.bypasses_stack), "forward hook"


#: How a datapath delivers → times that a round trip enters a CPU's backlog. A veth's receiver takes
#: each packet from there, as a netkit's does, but a netkit program runs before that.
BACKLOG = {"stack": 4, "lxc": 4, "peer": 2, "netkit": 2}


def test_hr46_backlog_enqueues_a_round_trip(one_node: Testbed, datapath, family, hr_observed):
    rounds = []
    with pinned() as cpu, BacklogCounter(cpu) as backlog:
        for _ in range(20):
            before = backlog.read()
            exchange = one_node.pod1.datagrams(one_node.pod2, fenced=False)
            assert exchange.lost == 0, "lost"
            rounds.append(backlog.read() - before)
    hr_observed("backlog enqueues", min(rounds))
    # Others' traffic on this CPU, and a fence after a late reply, can only add.
    assert min(rounds) == BACKLOG[datapath.claims.delivers], "backlog enqueues"


def test_hr02_counted_on_every_cpu(one_node: Testbed, datapath, family):
    """The sender's CPU processes its packets; whichever that is, they count."""
    cpus = sorted(os.sched_getaffinity(0))
    lost, enqueues = 0, []
    with one_node.run_counts() as runs, one_node.evidence() as evidence:
        for cpu in cpus:
            with pinned(cpu), BacklogCounter(cpu) as backlog:
                lost += one_node.pod1.ping(one_node.pod2).lost
                enqueues.append(backlog.read())
    assert lost == 0, "lost"
    # The fence behind each ping enqueues, too.
    assert min(enqueues) >= BACKLOG[datapath.claims.delivers], "backlog enqueues"
    node = evidence.nodes["master"]
    stack = 0 if datapath.claims.bypasses_stack else 2 * len(cpus)
    assert node.hooks["forward"] == stack, "forward hook"
    assert node.snmp.get(FORWARDED[family], 0) == stack, "stack counters"
    entered = {"master:lxc1": len(cpus), "master:lxc2": len(cpus)}
    assert not datapath.claims.bypasses_stack or runs.unmatched(entered) == [], "run counts"
    counted = {("from-container", "local"): 2 * len(cpus)} if datapath.claims.counts else {}
    hits = {key: n for key, n in node.programs.hits.items() if key[0] != "to-container"}
    assert hits == counted, "hits"  # under policy a lxc's own program counts beside them
