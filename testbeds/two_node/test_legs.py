# SPDX-License-Identifier: Apache-2.0
"""Who sees what, on two nodes."""

import pytest

from harness.testbed import Testbed
from harness.traffic import ANY_PORT, Form
from harness.watch.evidence import HOOKS
from testbeds.two_node.legs import TWO_NODES, WORLD


def test_hr08_ping_between_nodes(two_node: Testbed, datapath, family):
    with two_node.capture() as seen:
        two_node.pod1.ping(two_node.pod2)
    assert seen.legs() == TWO_NODES[datapath.claims.off_wire]


def test_hr08_datagram_between_nodes(two_node: Testbed, datapath, family):
    with two_node.capture() as seen:
        two_node.pod1.datagrams(two_node.pod2)
    assert seen.legs() == TWO_NODES[datapath.claims.off_wire]


def test_hr08_stream_between_nodes(two_node: Testbed, datapath, family):
    with two_node.capture() as seen:
        two_node.pod1.stream(two_node.pod2, 100_000)
    assert seen.legs() == TWO_NODES[datapath.claims.off_wire]


@pytest.mark.topology(world=True)
def test_hr08_pod_and_world(two_node: Testbed, datapath, family):
    with two_node.capture() as seen:
        two_node.pod1.ping(two_node.world, forms={"n": Form(two_node.master.address, ANY_PORT)})
    claims = datapath.claims
    assert seen.legs() == WORLD[claims.masquerade][claims.off_wire]


@pytest.mark.parametrize("count", [1, 1000])
def test_hr12_every_leg_once_two_nodes(two_node: Testbed, datapath, family, count):
    with two_node.evidence() as evidence, two_node.capture() as seen:
        two_node.pod1.ping(two_node.pod2, count)
    assert seen.legs() == TWO_NODES[datapath.claims.off_wire]
    # A leg may look alike on the stack and past it: not one packet of the many entered it.
    stack = dict.fromkeys(HOOKS, 0 if datapath.claims.bypasses_stack else 2 * count)
    assert [evidence.nodes[name].hooks for name in ("master", "node1")] == [stack, stack], "hooks"
