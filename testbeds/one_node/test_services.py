# SPDX-License-Identifier: Apache-2.0
"""Services that pods ask on their own node, and the choice of a backend."""

import time
from collections import Counter
from dataclasses import replace

import pytest

from harness.plugin.building import BuildTestbed
from harness.topology import addressing as plan
from testbeds.faults import mute_redirects
from testbeds.one_node.legs import CLUSTER_IP, HAIRPIN, OWN_NODE
from testbeds.services import WHOLE, Asking, Served, ask, forms, settings, told, unread

POD1, POD2, POD3 = (plan.pod(1, number) for number in (1, 2, 3))
OTHER = Served(1, (POD2,))
ITSELF = Served(2, (POD1,))
HOST = Served(3, (plan.node_uplink(1),))
BOTH = Served(4, (POD2, POD3))
KEPT = Served(5, (POD2, POD3), affinity=600)
_COARSE = 6  # CLOCK_MONOTONIC_COARSE, which ticks as jiffies do
NAMES = {POD2: "pod2", POD3: "pod3"}

services = pytest.mark.claims("services")


@services
def test_hr42_cluster_ip_same_node(build_testbed: BuildTestbed, datapath, family):
    claims = datapath.claims
    testbed = build_testbed("one_node", datapath, family, None, settings(OTHER))
    pod1, pod2 = testbed.pod1, testbed.pod2
    with testbed.evidence() as evidence, testbed.capture() as seen:
        answered = ask(pod1, pod2, OTHER.cluster_ip(family), forms(pod2))
    assert seen.legs() == CLUSTER_IP[claims.delivers]
    assert answered == WHOLE, "answered"
    arrived = [*seen.at("pod2:eth0", "request.b", "in"), *seen.at("pod1:eth0", "reply", "in")]
    if claims.decrements_ttl:
        assert {frame.ttl for frame in arrived} == {63}, "TTL at the pods"
    flows = 0 if claims.bypasses_stack else 2
    assert len(evidence.nodes["master"].conntrack) == flows, "conntrack"


@services
def test_hr60_hairpin(build_testbed: BuildTestbed, datapath, family):
    testbed = build_testbed("one_node", datapath, family, None, settings(ITSELF))
    pod1, gateway = testbed.pod1, testbed.master.gateway[family]
    mute_redirects(testbed.master)
    with testbed.capture() as seen:
        answered = ask(pod1, pod1, ITSELF.cluster_ip(family), forms(pod1, g=gateway))
    assert seen.legs() == HAIRPIN[datapath.claims.delivers]
    assert answered == WHOLE, "answered"
    replies = 2 if family in datapath.claims.answers_gateway_ping else 0
    assert len(pod1.ping(gateway, 2).replies) == replies, "gateway's replies"


@services
def test_hr62_process_of_the_node(build_testbed: BuildTestbed, datapath, family):
    testbed = build_testbed("one_node", datapath, family, None, settings(HOST))
    pod1, master = testbed.pod1, testbed.master
    with testbed.capture() as seen:
        answered = ask(pod1, master, HOST.cluster_ip(family), forms(master))
    assert seen.legs() == OWN_NODE
    assert answered == WHOLE, "answered"


@services
def test_hr58_flows_spread_and_stay(build_testbed: BuildTestbed, datapath, family):
    testbed = build_testbed("one_node", datapath, family, {"pods_per_node": 3}, settings(BOTH))
    ends = (testbed.pod2, testbed.pod3)
    with Asking(testbed.pod1, ends, BOTH.cluster_ip(family)) as asking:
        asking.begin(400)
        first, second = asking.reached(), asking.reached()
    assert "" not in first, "arrived"
    assert second == first, "backend of a flow"
    share = Counter(first)
    assert all(140 <= share[end.name] <= 260 for end in ends), "share of each backend"


@services
def test_hr58_backend_is_removed(build_testbed: BuildTestbed, datapath, family):
    testbed = build_testbed("one_node", datapath, family, {"pods_per_node": 3}, settings(BOTH))
    ends = (testbed.pod2, testbed.pod3)
    with Asking(testbed.pod1, ends, BOTH.cluster_ip(family)) as asking:
        asking.begin(32)
        asking.reached()
        client, server = asking.connection(testbed.pod3)
        testbed.serve(told(replace(BOTH, backends=(POD2,))))
        asking.begin(32)
        after = asking.reached()
        client.sendall(b"still there?")
        asking.fence.pass_()
        heard = b"".join(unread(server))
    assert after[32:] == ["pod2"] * 32, "new flows"
    assert after[:32] == ["pod2"] * 32, "UDP flows that were there"
    assert heard == b"still there?", "TCP connection that was there"


@services
def test_hr59_a_client_keeps_its_backend(build_testbed: BuildTestbed, datapath, family):
    testbed = build_testbed("one_node", datapath, family, {"pods_per_node": 3}, settings(KEPT))
    ends = (testbed.pod2, testbed.pod3)
    with Asking(testbed.pod1, ends, KEPT.cluster_ip(family)) as asking:
        asking.begin(20)
        reached = asking.reached()
        kept = next((end for end in (POD2, POD3) if reached[0] == NAMES[end]), POD2)
        left = POD3 if kept is POD2 else POD2
        testbed.serve(told(replace(KEPT, backends=(left,))))
        asking.begin(20)
        after = asking.reached()
    assert "" not in reached, "arrived"
    assert len(set(reached)) == 1, "backend of a client"
    assert set(after) == {NAMES[left]}, "backend is gone"


#: Addresses of one pod: each is a client.
CLIENTS = {
    4: [f"10.0.1.{number}" for number in range(100, 120)],
    6: [f"fd00:10:0:1::{number:x}" for number in range(0x100, 0x114)],
}


@services
def test_hr59_every_client_keeps_its_own_backend(build_testbed: BuildTestbed, datapath, family):
    testbed = build_testbed("one_node", datapath, family, {"pods_per_node": 3}, settings(KEPT))
    clients = CLIENTS[family]
    testbed.assign("pod1", clients)
    testbed.datapath_of("master").installed.sync()
    with Asking(testbed.pod1, (testbed.pod2, testbed.pod3), KEPT.cluster_ip(family)) as asking:
        asking.begin(1, clients)
        asking.reached()
        asking.begin(1, clients)
        reached = asking.reached()
    assert reached[len(clients) :] == reached[: len(clients)], "backend of each client"
    assert set(reached) == {"pod2", "pod3"}, "backends of all"


#: Seconds; netfilter's `recent` knows whole ones.
BRIEFLY = {True: 0.3, False: 1.0}


def _outlast(seconds: float) -> None:
    """Return when the kernel's ticks have moved on by that much."""
    end = time.clock_gettime(_COARSE) + seconds
    while time.clock_gettime(_COARSE) < end:
        pass


@services
def test_hr59_affinity_lasts_from_the_last_new_flow(build_testbed: BuildTestbed, datapath, family):
    lasts = BRIEFLY[datapath.claims.bypasses_stack]
    served = replace(KEPT, affinity=lasts)
    testbed = build_testbed("one_node", datapath, family, {"pods_per_node": 3}, settings(served))
    ends = (testbed.pod2, testbed.pod3)
    with Asking(testbed.pod1, ends, served.cluster_ip(family)) as asking:

        def asked_after(seconds: float) -> str:
            _outlast(seconds)
            asking.begin(1)
            return asking.reached()[-1]

        kept = [asked_after(0.6 * lasts) for _ in range(12)]
        changed = any(asked_after(1.2 * lasts) != kept[-1] for _ in range(24))
    assert "" not in kept, "arrived"
    assert len(set(kept)) == 1, "backend of a client"
    assert changed, "backend after a while"
