# SPDX-License-Identifier: Apache-2.0
"""What a router changes of a packet, and nothing else: every field, layer and length."""

import pytest

from harness.testbed import Testbed
from harness.watch.capture import WHOLE
from testbeds.fields import crafted, numbered


@pytest.mark.claims("decrements_ttl")
@pytest.mark.topology(pods_per_node=2)
def test_hr13_only_ttl_and_its_sum_change(two_node: Testbed, datapath, family):
    pod, targets = two_node.pod1, {two_node.pod2: 1, two_node.pod3: 2}
    macs = pod.mac, pod.lxc_mac
    packets = {to: crafted(family, macs, (pod.address, to.address)) for to in targets}
    with two_node.capture(WHOLE) as seen:
        pod.inject("eth0", [each.frame for to in targets for each in packets[to]])
    for to, hops in targets.items():
        came = [f for f in seen.frames if (f.interface, f.direction) == (f"{to.name}:eth0", "in")]
        arrived = list(numbered(came))
        assert [number for number, _ in arrived] == list(range(len(packets[to]))), "arrived"
        changed = [
            packets[to][number].name
            for number, packet in arrived
            if packet != packets[to][number].after(hops)
        ]
        assert changed == [], "all but the TTL"
