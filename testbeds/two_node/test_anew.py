# SPDX-License-Identifier: Apache-2.0
"""A pod made anew, asked from another node."""

from harness.testbed import Testbed
from testbeds.two_node.legs import TWO_NODES


def test_hr08_pod_made_anew(two_node: Testbed, datapath, family):
    two_node.remake("pod2")
    two_node.datapath_of("node1").installed.sync()
    with two_node.evidence() as evidence, two_node.capture() as seen:
        exchange = two_node.pod1.ping(two_node.pod2)
    assert exchange.lost == 0, "lost"
    assert seen.legs() == TWO_NODES[datapath.claims.off_wire]
    # What the pod sends looks alike on the stack and past it.
    forwarded = 0 if datapath.claims.bypasses_stack else 2
    assert evidence.nodes["node1"].hooks["forward"] == forwarded, "forward hook"
