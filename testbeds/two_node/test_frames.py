# SPDX-License-Identifier: Apache-2.0
"""What the frames look like on the wire and at the far pod."""

import pytest
from scapy.layers.l2 import Ether

from harness.plugin.building import BuildTestbed
from harness.testbed import Testbed
from harness.traffic import Flow
from harness.traffic.headers import ICMP_PROTOCOL
from harness.watch.capture import WHOLE
from harness.watch.legs import LegTable
from testbeds.packets import echo, echoes, ip
from testbeds.two_node.legs import TWO_NODES


@pytest.mark.claims("decrements_ttl")
def test_hr13_ttl_two_nodes(two_node: Testbed, datapath, family, hr_observed):
    with two_node.capture() as seen:
        two_node.pod1.ping(two_node.pod2)
    for frame in seen.at("pod2:eth0", "request", "in"):
        hr_observed("TTL at pod2", frame.ttl)
    on_the_wire = seen.at("master:enp0s8", "request", "out")
    assert [frame.ttl for frame in on_the_wire] == [63], "TTL on the wire"
    assert [frame.ttl for frame in seen.at("pod2:eth0", "request", "in")] == [62], "TTL at pod2"
    assert [frame.ttl for frame in seen.at("pod1:eth0", "reply", "in")] == [62], "TTL at pod1"


def test_hr13_nothing_but_the_ttl_changes_two_nodes(two_node: Testbed, datapath, family):
    # Two packets: the first of a next hop goes through the neighbour layer, the second not.
    frames, flow = echoes(two_node.pod1, two_node.pod2, family, (1, 2))
    with two_node.capture(WHOLE) as seen:
        two_node.pod1.inject("eth0", frames, flow)
    for kind, sender, receiver in (("request", "pod1", "pod2"), ("reply", "pod2", "pod1")):
        left = [frame.but_for_ttl() for frame in seen.at(f"{sender}:eth0", kind, "out")]
        arrived = [frame.but_for_ttl() for frame in seen.at(f"{receiver}:eth0", kind, "in")]
        assert len(left) == 2, "frames sent"
        assert arrived == left, "all but the TTL"


@pytest.mark.needs_macs
def test_hr14_macs_at_the_pod(two_node: Testbed, datapath, family):
    with two_node.capture() as seen:
        two_node.pod1.ping(two_node.pod2)
    for pod, kind in ((two_node.pod2, "request"), (two_node.pod1, "reply")):
        frames = seen.at(f"{pod.name}:eth0", kind, "in")
        macs = [(frame.source_mac, frame.destination_mac) for frame in frames]
        assert macs == [(pod.lxc_mac, pod.mac)], "MACs"


def test_hr15_macs_on_the_wire(two_node: Testbed, datapath, family):
    # Two packets: the first of a next hop goes through the neighbour layer, the second not.
    with two_node.capture() as seen:
        two_node.pod1.ping(two_node.pod2, 2)
    master, node1 = (node.macs["enp0s8"] for node in (two_node.master, two_node.node1))
    for kind, there in (("request", (master, node1)), ("reply", (node1, master))):
        frames = [*seen.at("master:enp0s8", kind), *seen.at("node1:enp0s8", kind)]
        assert [(f.source_mac, f.destination_mac) for f in frames] == [there] * 4, "MACs"


@pytest.mark.parametrize("offloads", [True, False], ids=["offloads", "no-offloads"])
def test_hr18_checksums_at_every_tap_two_nodes(
    build_testbed: BuildTestbed, datapath, family, offloads
):
    testbed = build_testbed("two_node", datapath, family, {"offloads": offloads})
    with testbed.capture(WHOLE) as seen:
        testbed.pod1.ping(testbed.pod2)
        testbed.pod1.datagrams(testbed.pod2)
        testbed.pod1.ping(testbed.pod2, ttl=2, size=1000)
    faults = [(str(frame), frame.checksum_faults(partial=offloads)) for frame in seen.frames]
    assert [fault for fault in faults if fault[1]] == [], "checksums"
    with testbed.capture(WHOLE) as seen_tcp:
        testbed.pod1.stream(testbed.pod2, 1000)
    faults = [(str(frame), frame.checksum_faults(partial=offloads)) for frame in seen_tcp.frames]
    assert [fault for fault in faults if fault[1]] == [], "checksums of TCP"
    taps = LegTable.parse(TWO_NODES[datapath.claims.off_wire]).interfaces()
    assert {frame.interface for frame in seen.frames} == set(taps), "every tap saw a frame"


def test_hr47_frame_not_addressed_to_the_nic(two_node: Testbed, datapath, family, hr_observed):
    source, target = two_node.pod1.address, two_node.pod2.address
    packet = ip(family, source, target) / echo(family)
    frame = Ether(src=two_node.master.macs["enp0s8"], dst="02:00:00:00:00:99") / packet
    flow = Flow(family, ICMP_PROTOCOL[family], source, target, 7, 7, [1])
    with two_node.capture() as seen:
        two_node.master.inject("enp0s8", [bytes(frame)], flow, past_egress=True)
    replied = len(seen.at("pod2:eth0", "reply", "out"))
    hr_observed("delivered", replied)
    assert replied == (1 if datapath.claims.accepts_otherhost else 0), "replies"
