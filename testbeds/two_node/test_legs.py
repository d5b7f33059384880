# SPDX-License-Identifier: Apache-2.0
"""Who sees what, on two nodes."""

import pytest

from harness.testbed import Testbed
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
        two_node.pod1.ping(two_node.world, translated=(two_node.master.address,))
    assert seen.legs() == WORLD[datapath.claims.off_wire]
    shown = (two_node.master if datapath.claims.masquerade else two_node.pod1).address
    packets = [frame.headers.ip for frame in seen.at("world:eth0", "request", "in")]
    sources = [packet.source for packet in packets if packet]
    assert sources == [shown], "source in the world"


@pytest.mark.parametrize("count", [1, 1000])
def test_hr12_every_leg_once_two_nodes(two_node: Testbed, datapath, family, count):
    with two_node.evidence() as evidence, two_node.capture() as seen:
        two_node.pod1.ping(two_node.pod2, count)
    assert seen.legs() == TWO_NODES[datapath.claims.off_wire]
    # A leg may look alike on the stack and past it: not one packet of the many entered it.
    stack = dict.fromkeys(HOOKS, 0 if datapath.claims.bypasses_stack else 2 * count)
    assert [evidence.nodes[name].hooks for name in ("master", "node1")] == [stack, stack], "hooks"
