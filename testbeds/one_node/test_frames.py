# SPDX-License-Identifier: Apache-2.0
"""What the frames look like: TTL, MACs, checksums."""

import pytest

from harness.plugin.building import BuildTestbed
from harness.testbed import Testbed
from harness.watch.capture import WHOLE
from testbeds.packets import echoes


@pytest.mark.claims("decrements_ttl")
def test_hr13_ttl_same_node(one_node: Testbed, datapath, family, hr_observed):
    with one_node.capture() as seen:
        one_node.pod1.ping(one_node.pod2)
    for frame in seen.at("pod2:eth0", "request", "in"):
        hr_observed("TTL at pod2", frame.ttl)
    assert [frame.ttl for frame in seen.at("pod2:eth0", "request", "in")] == [63], "TTL at pod2"
    assert [frame.ttl for frame in seen.at("pod1:eth0", "reply", "in")] == [63], "TTL at pod1"


def test_hr13_nothing_but_the_ttl_changes_same_node(one_node: Testbed, datapath, family):
    # Two packets: the first of a next hop goes through the neighbour layer, the second not.
    frames, flow = echoes(one_node.pod1, one_node.pod2, family, (1, 2))
    with one_node.capture(WHOLE) as seen:
        one_node.pod1.inject("eth0", frames, flow)
    for kind, sender, receiver in (("request", "pod1", "pod2"), ("reply", "pod2", "pod1")):
        left = [frame.but_for_ttl() for frame in seen.at(f"{sender}:eth0", kind, "out")]
        arrived = [frame.but_for_ttl() for frame in seen.at(f"{receiver}:eth0", kind, "in")]
        assert len(left) == 2, "frames sent"
        assert arrived == left, "all but the TTL"


@pytest.mark.needs_macs
def test_hr14_macs_at_the_pod(one_node: Testbed, datapath, family):
    with one_node.capture() as seen:
        one_node.pod1.ping(one_node.pod2)
    for pod, kind in ((one_node.pod2, "request"), (one_node.pod1, "reply")):
        macs = [
            (frame.source_mac, frame.destination_mac)
            for frame in seen.at(f"{pod.name}:eth0", kind, "in")
        ]
        assert macs == [(pod.lxc_mac, pod.mac)], "MACs"


@pytest.mark.parametrize("offloads", [True, False], ids=["offloads", "no-offloads"])
def test_hr18_checksums_at_every_tap_same_node(
    build_testbed: BuildTestbed, datapath, family, offloads
):
    testbed = build_testbed("one_node", datapath, family, {"offloads": offloads})
    with testbed.capture(WHOLE) as seen:
        testbed.pod1.ping(testbed.pod2)
        testbed.pod1.datagrams(testbed.pod2)
        testbed.pod1.ping(testbed.pod2, ttl=1, size=1000)
    faults = [(str(frame), frame.checksum_faults(partial=offloads)) for frame in seen.frames]
    assert [fault for fault in faults if fault[1]] == [], "checksums"
    with testbed.capture(WHOLE) as seen_tcp:
        testbed.pod1.stream(testbed.pod2, 1000)
    faults = [(str(frame), frame.checksum_faults(partial=offloads)) for frame in seen_tcp.frames]
    assert [fault for fault in faults if fault[1]] == [], "checksums of TCP"
    assert {frame.interface for frame in seen.frames} == {
        f"{host.name}:{ifname}" for host, ifname in testbed.network.interfaces()
    }, "every tap saw a frame"
