# SPDX-License-Identifier: Apache-2.0
"""Pods behind netkit pairs, on two nodes and with the world: who sees what."""

import pytest

from harness.plugin.building import BuildTestbed
from harness.topology import netkit
from harness.traffic import ANY_PORT, Form
from testbeds.two_node.legs import TWO_NODES, WORLD

pytestmark = pytest.mark.parametrize("device", netkit.MODES)


@pytest.mark.claims(attaches="netkit")
def test_hr79_legs_and_ttl_two_nodes(build_testbed: BuildTestbed, datapath, family, device):
    testbed = build_testbed("two_node", datapath, family, {"pod_device": device})
    with testbed.capture() as seen:
        testbed.pod1.ping(testbed.pod2)
    assert seen.legs() == TWO_NODES[datapath.claims.off_wire]
    arrived = [*seen.at("pod2:eth0", "request", "in"), *seen.at("pod1:eth0", "reply", "in")]
    assert [frame.ttl for frame in arrived] == [62, 62], "TTL at the pods"


@pytest.mark.claims(attaches="netkit")
def test_hr79_pod_and_world(build_testbed: BuildTestbed, datapath, family, device):
    changes = {"pod_device": device, "world": True}
    testbed = build_testbed("two_node", datapath, family, changes)
    with testbed.capture() as seen:
        testbed.pod1.ping(testbed.world, forms={"n": Form(testbed.master.address, ANY_PORT)})
    claims = datapath.claims
    assert seen.legs() == WORLD[claims.masquerade][claims.off_wire]
