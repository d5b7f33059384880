# SPDX-License-Identifier: Apache-2.0
"""bpf_redirect_peer with BPF_F_EGRESS (7.3), from the NIC: out of the pod's device."""

import pytest

from harness.plugin.building import BuildTestbed
from testbeds.faults import BPF_F_EGRESS, TC_ACT_REDIRECT


@pytest.mark.claims("source_check", bypasses_stack=True, counts=True)
def test_hr82_from_the_nic_out_of_a_pod(
    build_testbed: BuildTestbed, datapath, family, helper_call, require_feature
):
    """The pod's program takes the packet for one of the pod's: its source is wrong there."""
    require_feature("peer-egress")
    testbed = build_testbed("two_node", datapath, family)
    node1 = testbed.node1
    with testbed.evidence() as evidence, testbed.capture() as seen:
        target = node1.ifindex("lxc2")
        helper_call.put(node1, "enp0s8", "redirect_peer", target, BPF_F_EGRESS)
        exchange = testbed.pod1.ping(testbed.pod2)
    assert helper_call.returned() == {TC_ACT_REDIRECT: 1}, "returned"
    assert exchange.lost == 1, "lost"
    legs = {place: seen.legs().row(place) for place in ("pod2:eth0", "node1:lxc2")}
    # A netkit program runs before the lxc would show the packet.
    shown = "" if datapath.claims.attaches == "netkit" else "< request"
    assert legs == {"pod2:eth0": "> request", "node1:lxc2": shown}, "out of the pod"
    assert evidence.nodes["node1"].programs.drops == {"source": 1}, "drops"
