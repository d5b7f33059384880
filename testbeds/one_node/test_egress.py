# SPDX-License-Identifier: Apache-2.0
"""bpf_redirect_peer with BPF_F_EGRESS (7.3): out of the pod's device, as if the pod had sent.

It is the helper that is asked here, on the stack's testbed: what it sends comes to the node's end,
where the stack refuses a frame that is addressed to a pod.
"""

import pytest

from harness.attach import EGRESS
from harness.plugin.building import BuildTestbed
from harness.topology import POD_DEVICES
from testbeds.faults import BPF_F_EGRESS, BPF_F_INGRESS, TC_ACT_REDIRECT, TC_ACT_SHOT

PINGS = 3
pytestmark = [
    pytest.mark.datapaths("legacy"),
    pytest.mark.parametrize("device", POD_DEVICES[:2]),
]


def test_hr82_from_egress_out_of_another_pod(
    build_testbed: BuildTestbed, datapath, family, device, helper_call, require_feature
):
    require_feature("peer-egress")
    testbed = build_testbed("one_node", datapath, family, {"pod_device": device})
    master = testbed.master
    with testbed.capture() as seen:
        target = master.ifindex("lxc1")
        helper_call.put(master, "lxc2", "redirect_peer", target, BPF_F_EGRESS, EGRESS)
        exchange = testbed.pod1.ping(testbed.pod2)
    assert helper_call.returned() == {TC_ACT_REDIRECT: 1}, "returned"
    assert exchange.lost == 1, "lost"
    for place, direction in (("pod1:eth0", "out"), ("master:lxc1", "in")):
        ttls = [frame.ttl for frame in seen.at(place, "request", direction)]
        assert ttls == [64, 63], "sent, and sent again"
    assert seen.at("pod2:eth0", "request") == [], "delivered"


#: What is wrong → the flags, and what the helper returns.
REFUSED = {
    "both-ways": (BPF_F_EGRESS | BPF_F_INGRESS, TC_ACT_SHOT),
    "peer-down": (BPF_F_EGRESS, TC_ACT_REDIRECT),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_hr82_refused(
    build_testbed: BuildTestbed, datapath, family, device, helper_call, require_feature, wrong,
    hr_kernel_log,
):  # fmt: skip
    require_feature("peer-egress")
    testbed = build_testbed("one_node", datapath, family, {"pod_device": device})
    flags, returned = REFUSED[wrong]
    target = testbed.master.ifindex("lxc2")
    with testbed.capture() as seen:
        if wrong == "peer-down":  # no capture begins on a device that is down
            testbed.pod2.down("eth0")
        helper_call.put(testbed.master, "lxc1", "redirect_peer", target, flags)
        exchange = testbed.pod1.ping(testbed.pod2, PINGS)
    assert helper_call.returned() == {returned: PINGS}, "returned"
    assert exchange.lost == PINGS, "lost"
    places = {frame.interface for frame in seen.frames}
    assert places == {"pod1:eth0", "master:lxc1"}, "interfaces"
    assert hr_kernel_log.splats() == [], "splats"
