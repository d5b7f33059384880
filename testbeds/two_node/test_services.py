# SPDX-License-Identifier: Apache-2.0
"""Services whose backends are on another node, and what asks from outside: NodePort, external."""

from dataclasses import replace

import pytest

from harness.datapath import Policy
from harness.plugin.building import BuildTestbed
from harness.testbed import Testbed
from harness.topology import addressing as plan
from harness.topology.addressing import Addresses
from harness.traffic import ANY_PORT, Form, Front
from harness.traffic.headers import ICMP
from testbeds.one_node.legs import CLUSTER_IP as CLUSTER_IP_NEAR
from testbeds.policies import selects
from testbeds.services import BACKEND_PORT, COUNT, PORT, WHOLE, Served, ask, forms, settings
from testbeds.two_node.legs import (
    CLUSTER_IP,
    DROPPED,
    EXPIRED,
    NODE_PORT,
    NODE_PORT_FAR,
    NODE_PORT_HOST,
    NODE_PORT_INSIDE,
    NODE_PORT_NOBODY,
    NODE_PORT_OTHER,
    NODE_PORT_OWN,
    NODE_PORT_SILENT,
    WORLD,
)

#: pod1 and pod2 run on master, pod3 on node1.
PODS = {"more_pods": 1, "world": True}
POD2, POD3, NODE1 = plan.pod(1, 2), plan.pod(2, 1), plan.node_uplink(2)
OUTSIDE = Addresses("203.0.113.80", "2001:db8:113::80")  # RFC 5737, RFC 3849

NEAR = Served(1, (POD2,), external=OUTSIDE)
FAR = Served(2, (POD3,))
NOBODY = Served(3)
FAR_HOST = Served(4, (NODE1,))
OWN_HOST = Served(7, (plan.node_uplink(1),))
LOCAL = Served(5, (POD2, POD3), local=True)
LOCAL_ELSEWHERE = Served(6, (POD3,), local=True)

services = pytest.mark.claims("services")


def build(build_testbed: BuildTestbed, datapath, family, *served: Served) -> Testbed:
    return build_testbed("two_node", datapath, family, PODS, settings(*served))


@services
def test_hr42_cluster_ip_two_nodes(build_testbed: BuildTestbed, datapath, family):
    testbed, claims = build(build_testbed, datapath, family, FAR), datapath.claims
    pod1, pod3 = testbed.pod1, testbed.pod3
    with testbed.evidence() as evidence, testbed.capture() as seen:
        answered = ask(pod1, pod3, FAR.cluster_ip(family), forms(pod3))
    assert seen.legs() == CLUSTER_IP[claims.off_wire]
    assert answered == WHOLE, "answered"
    arrived = [*seen.at("pod3:eth0", "request.b", "in"), *seen.at("pod1:eth0", "reply", "in")]
    if claims.decrements_ttl:
        assert {frame.ttl for frame in arrived} == {62}, "TTL at the pods"
    flows = 0 if claims.bypasses_stack else 2
    entries = [len(evidence.nodes[node].conntrack) for node in ("master", "node1")]
    assert entries == [flows, flows], "conntrack"


@services
@pytest.mark.parametrize("front", ["node-port", "external"])
def test_hr42_asked_from_outside(build_testbed: BuildTestbed, datapath, family, front):
    testbed, claims = build(build_testbed, datapath, family, NEAR), datapath.claims
    world, master, pod2 = testbed.world, testbed.master, testbed.pod2
    asked = NEAR.node_port(master)
    if front == "external":
        asked = Front(OUTSIDE[family], PORT, BACKEND_PORT)
        to = f"{OUTSIDE[family]}/{family.host_prefix}"
        world.add_route(to, dev="eth0", gateway=master.address)
    with testbed.capture() as seen:
        answered = ask(world, pod2, asked, forms(pod2, g=master.gateway[family]))
    form = "b" if claims.shows_client else "g"
    assert seen.legs() == NODE_PORT[form][claims.off_wire]
    assert answered == WHOLE, "answered"
    arrived = seen.at("pod2:eth0", f"request.{form}", "in") + seen.at("world:eth0", "reply", "in")
    if claims.decrements_ttl:
        assert {frame.ttl for frame in arrived} == {63}, "TTL at both ends"


@services
def test_hr42_node_port_two_nodes(build_testbed: BuildTestbed, datapath, family):
    testbed, claims = build(build_testbed, datapath, family, FAR), datapath.claims
    world, master, pod3 = testbed.world, testbed.master, testbed.pod3
    with testbed.evidence() as evidence, testbed.capture() as seen:
        answered = ask(world, pod3, FAR.node_port(master), forms(pod3, nb=master.address))
    assert seen.legs() == NODE_PORT_FAR[claims.off_wire]
    assert answered == WHOLE, "answered"
    arrived = seen.at("pod3:eth0", "request.nb", "in") + seen.at("world:eth0", "reply", "in")
    if claims.decrements_ttl:
        assert {frame.ttl for frame in arrived} == {62}, "TTL at both ends"
    flows = 0 if claims.bypasses_stack else 2
    entries = [len(evidence.nodes[node].conntrack) for node in ("master", "node1")]
    assert entries == [flows, flows], "conntrack"


@services
def test_hr42_node_port_of_the_own_node(build_testbed: BuildTestbed, datapath, family):
    testbed = build(build_testbed, datapath, family, FAR)
    pod1, master, pod3 = testbed.pod1, testbed.master, testbed.pod3
    with testbed.capture() as seen:
        answered = ask(pod1, pod3, FAR.node_port(master), forms(pod3, nb=master.address))
    assert seen.legs() == NODE_PORT_INSIDE[datapath.claims.off_wire]
    assert answered == WHOLE, "answered"


@services
def test_hr42_node_port_of_another_node(build_testbed: BuildTestbed, datapath, family):
    testbed, claims = build(build_testbed, datapath, family, FAR), datapath.claims
    pod3, node1 = testbed.pod3, testbed.node1
    looks = forms(pod3, g=node1.gateway[family])
    looks["n"] = Form(testbed.master.address, ANY_PORT)
    with testbed.capture() as seen:
        answered = ask(testbed.pod1, pod3, FAR.node_port(node1), looks)
    assert seen.legs() == NODE_PORT_OTHER["b" if claims.shows_client else "g"][claims.off_wire]
    assert answered == WHOLE, "answered"


@services
@pytest.mark.parametrize("backend", ["near", "far"])
def test_hr42_external_address_asked_by_a_pod(
    build_testbed: BuildTestbed, datapath, family, backend
):
    served = {"near": NEAR, "far": replace(FAR, external=OUTSIDE)}[backend]
    testbed, claims = build(build_testbed, datapath, family, served), datapath.claims
    master, front = testbed.master, Front(OUTSIDE[family], PORT, BACKEND_PORT)
    if backend == "near":
        end, looks = testbed.pod2, {"g": master.gateway[family]}
        form = "b" if claims.shows_client else "g"
        expected = CLUSTER_IP_NEAR[claims.delivers].replace(".b", f".{form}")
    else:
        end, looks = testbed.pod3, {"nb": master.address}
        expected = NODE_PORT_INSIDE[claims.off_wire]
    with testbed.capture() as seen:
        answered = ask(testbed.pod1, end, front, forms(end, **looks))
    assert seen.legs() == expected
    assert answered == WHOLE, "answered"


@services
def test_hr42_sums_without_offloads(build_testbed: BuildTestbed, datapath, family):
    """Nobody completes or believes a sum any more: what the node writes must be right."""
    testbed = build_testbed(
        "two_node", datapath, family, {**PODS, "offloads": False}, settings(FAR)
    )
    pod3, front = testbed.pod3, FAR.cluster_ip(family)
    answers = {
        "pod1": ask(testbed.pod1, pod3, front, forms(pod3)),
        "world": ask(testbed.world, pod3, FAR.node_port(testbed.master), {}),
    }
    assert answers == dict.fromkeys(answers, WHOLE), "answered"


@pytest.mark.claims(masquerade=True)
@pytest.mark.topology(world=True)
def test_hr40_pod_and_world(two_node: Testbed, datapath, family):
    pod1, world = two_node.pod1, two_node.world
    masqueraded = {"n": Form(two_node.master.address, ANY_PORT)}
    with two_node.capture() as seen:
        replies = pod1.ping(world, COUNT, forms=masqueraded).replies
        answered = ask(pod1, world, None, masqueraded)
    assert seen.legs() == WORLD[True][datapath.claims.off_wire]
    assert len(replies) == COUNT, "replies"
    assert answered == WHOLE, "answered"


PORT_UNREACHABLE = {4: (3, 3), 6: (1, 4)}


def _said(seen):
    """Type and code of the errors that pod1 got."""
    errors = [frame.headers.transport for frame in seen.at("pod1:eth0", "error", "in")]
    return {(error.type, error.code) for error in errors if isinstance(error, ICMP)}


@services
def test_hr61_no_backend(build_testbed: BuildTestbed, datapath, family):
    testbed = build(build_testbed, datapath, family, NOBODY)
    pod1, front = testbed.pod1, NOBODY.cluster_ip(family)
    with testbed.capture() as seen:
        pod1.datagrams(testbed.pod2, COUNT, front=front)
        pod1.knock(front)
    assert seen.legs() == EXPIRED[datapath.claims.delivers]
    assert _said(seen) == {PORT_UNREACHABLE[family]}, "port unreachable"


@pytest.mark.claims("policy", "services")
def test_hr35_egress_is_denied_before_no_backend_is_told(
    build_testbed: BuildTestbed, datapath, family
):
    policy = Policy((selects("pod1", "egress"),))
    asked = settings(NOBODY, policy=policy)
    testbed = build_testbed("two_node", datapath, family, PODS, asked)
    pod, front = testbed.pod1, NOBODY.cluster_ip(family)
    before = testbed.datapath_of("master").installed.counters()
    with testbed.capture() as seen:
        pod.datagrams(testbed.pod2, COUNT, front=front)
        pod.knock(front)
    counted = testbed.datapath_of("master").installed.counters() - before
    assert seen.legs() == DROPPED[datapath.claims.delivers]
    if datapath.claims.counts:
        assert counted.drops == {"policy-egress": COUNT + 1}, "drops"


@services
def test_hr61_no_backend_for_the_world(build_testbed: BuildTestbed, datapath, family):
    testbed = build(build_testbed, datapath, family, NOBODY)
    world, front = testbed.world, NOBODY.node_port(testbed.master)
    with testbed.capture() as seen:
        world.datagrams(testbed.pod2, COUNT, front=front)
        world.knock(front)
    assert seen.legs() == NODE_PORT_NOBODY


@pytest.mark.claims("services", bypasses_stack=True)
@pytest.mark.parametrize("asked", ["unknown-port", "echo"])
def test_hr61_what_no_front_matches_is_refused(
    build_testbed: BuildTestbed, datapath, family, asked
):
    testbed = build(build_testbed, datapath, family, NOBODY)
    pod1, front = testbed.pod1, NOBODY.cluster_ip(family)
    with testbed.capture() as seen:
        if asked == "echo":
            pod1.ping(front.address, COUNT)
        else:
            unknown = front._replace(port=PORT + 1)
            pod1.datagrams(testbed.pod2, COUNT, front=unknown)
            pod1.knock(unknown)
    assert seen.legs() == EXPIRED[datapath.claims.delivers]
    assert _said(seen) == {PORT_UNREACHABLE[family]}, "port unreachable"


@pytest.mark.claims("services", bypasses_stack=False)
@pytest.mark.parametrize("asked", ["unknown-port", "echo"])
def test_hr61_what_no_rule_matches(build_testbed: BuildTestbed, datapath, family, asked):
    """kube-proxy's iptables rules leave it to the routes: it goes the default route's way."""
    testbed = build(build_testbed, datapath, family, NOBODY)
    pod1, front = testbed.pod1, NOBODY.cluster_ip(family)
    masqueraded = {"n": Form(testbed.master.address, ANY_PORT)}
    with testbed.capture() as seen:
        if asked == "echo":
            pod1.ping(front.address, forms=masqueraded)
        else:
            unknown = front._replace(port=PORT + 1)
            pod1.datagrams(testbed.pod2, front=unknown, forms=masqueraded)
    left = [leg for leg in seen.legs().legs if leg[0] == "master:enp0s8" and leg[2] == "request.n"]
    assert left == [("master:enp0s8", ">", "request.n")], "leaves the node"


@services
def test_hr62_node_port_of_a_process(build_testbed: BuildTestbed, datapath, family):
    testbed = build(build_testbed, datapath, family, FAR_HOST)
    world, master, node1 = testbed.world, testbed.master, testbed.node1
    with testbed.capture() as seen:
        answered = ask(world, node1, FAR_HOST.node_port(master), forms(node1, nb=master.address))
    assert seen.legs() == NODE_PORT_HOST
    assert answered == WHOLE, "answered"


@services
def test_hr62_node_port_of_an_own_process(build_testbed: BuildTestbed, datapath, family):
    testbed = build(build_testbed, datapath, family, OWN_HOST)
    master = testbed.master
    with testbed.capture() as seen:
        answered = ask(testbed.world, master, OWN_HOST.node_port(master), forms(master))
    assert seen.legs() == NODE_PORT_OWN
    assert answered == WHOLE, "answered"


@services
def test_hr65_local_backend_sees_the_client(build_testbed: BuildTestbed, datapath, family):
    testbed, claims = build(build_testbed, datapath, family, LOCAL), datapath.claims
    pod2 = testbed.pod2
    with testbed.capture() as seen:
        answered = ask(testbed.world, pod2, LOCAL.node_port(testbed.master), forms(pod2))
    assert seen.legs() == NODE_PORT["b"][claims.off_wire]
    assert answered == WHOLE, "answered"


@services
def test_hr65_no_local_backend(build_testbed: BuildTestbed, datapath, family):
    testbed, claims = build(build_testbed, datapath, family, LOCAL_ELSEWHERE), datapath.claims
    world, master, pod3 = testbed.world, testbed.master, testbed.pod3
    front = LOCAL_ELSEWHERE.node_port(master)
    with testbed.capture() as seen:
        world.datagrams(pod3, COUNT, front=front)
        world.knock(front)
    assert seen.legs() == NODE_PORT_SILENT, "legs from outside"
    with testbed.capture() as seen:
        ask(testbed.pod1, pod3, LOCAL_ELSEWHERE.cluster_ip(family), forms(pod3))
    assert seen.legs() == CLUSTER_IP[claims.off_wire], "legs from inside"
