# SPDX-License-Identifier: Apache-2.0
"""Who sees what, on one node."""

import pytest

from harness.plugin.building import BuildTestbed
from harness.testbed import Testbed
from harness.topology import Family
from harness.traffic import ping
from harness.watch.evidence import HOOKS
from testbeds.one_node.legs import OWN_NODE, SAME_NODE


def test_hr07_ping_between_pods_same_node(one_node: Testbed, datapath, family):
    with one_node.capture() as seen:
        one_node.pod1.ping(one_node.pod2)
    assert seen.legs() == SAME_NODE[datapath.claims.delivers]


def test_hr07_datagram_between_pods_same_node(one_node: Testbed, datapath, family):
    with one_node.capture() as seen:
        one_node.pod1.datagrams(one_node.pod2)
    assert seen.legs() == SAME_NODE[datapath.claims.delivers]


def test_hr07_stream_between_pods_same_node(one_node: Testbed, datapath, family):
    with one_node.capture() as seen:
        one_node.pod1.stream(one_node.pod2, 100_000)
    assert seen.legs() == SAME_NODE[datapath.claims.delivers]


def test_hr10_pod_and_its_own_node(one_node: Testbed, datapath, family):
    with one_node.capture() as seen:
        one_node.pod1.ping(one_node.master)
    assert seen.legs() == OWN_NODE


@pytest.mark.parametrize("count", [1, 1000])
def test_hr12_every_leg_once_same_node(one_node: Testbed, datapath, family, count):
    with one_node.evidence() as evidence, one_node.capture() as seen:
        one_node.pod1.ping(one_node.pod2, count)
    assert seen.legs() == SAME_NODE[datapath.claims.delivers]
    # A leg may look alike on the stack and past it: not one packet of the many entered it.
    stack = dict.fromkeys(HOOKS, 0 if datapath.claims.bypasses_stack else 2 * count)
    assert evidence.nodes["master"].hooks == stack, "hooks"


PODS = 100


def test_hr07_a_hundred_pods(build_testbed: BuildTestbed, datapath):
    """Each is found, in both families, on one testbed: to build it takes half a second."""
    testbed = build_testbed("one_node", datapath, Family.ipv4, {"pods_per_node": PODS})
    first, *others = testbed.network.pods
    lost = [
        (family.name, pod.name)
        for family in Family
        for pod in others
        if ping(first.ns, family, first.addresses[family], pod.addresses[family], 1).lost
    ]
    assert lost == [], "lost"
