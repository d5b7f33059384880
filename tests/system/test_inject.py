# SPDX-License-Identifier: Apache-2.0
"""Injected frames: what the interface's own egress does to them, and the way past it."""

import pytest

from harness.datapath import DATAPATHS
from harness.plumbing.errors import TrafficError
from harness.testbed import Testbed
from harness.topology import TESTBEDS, Family
from testbeds.packets import echo, ip
from tests.support import foreign_programs as foreign

pytestmark = pytest.mark.usefixtures("hr_machine", "hr_programs")
ETH_P_ARP = 0x0806


@pytest.fixture
def two_nodes(family):
    topology = TESTBEDS.find("two_node").topology
    with Testbed(topology, DATAPATHS["bpf"], family, name="two_node") as testbed:
        yield testbed


def frames_between(testbed, source_mac, destination_mac, count=3):
    """Echo requests of the first pod to the second."""
    packet = ip(testbed.family, testbed.pod1.address, testbed.pod2.address) / echo(testbed.family)
    macs = (bytes.fromhex(mac.replace(":", "")) for mac in (destination_mac, source_mac))
    kind = b"\x08\x00" if testbed.family is Family.ipv4 else b"\x86\xdd"
    return [b"".join(macs) + kind + bytes(packet)] * count


def from_pod(testbed):
    return frames_between(testbed, testbed.pod1.mac, testbed.pod1.lxc_mac)


def on_the_wire(testbed):
    nics = (node.macs["enp0s8"] for node in (testbed.master, testbed.node1))
    return frames_between(testbed, *nics)


def received(testbed, evidence):
    """What the two NICs, pod1's lxc and pod2 counted as received."""
    ends = ("master:lxc1", "master:enp0s8", "node1:enp0s8", "pod2:eth0")
    return [evidence.links[end, "rx_packets"] for end in ends]


def test_frames_that_nothing_drops(two_nodes):
    with two_nodes.evidence() as evidence:
        assert two_nodes.pod1.inject("eth0", from_pod(two_nodes)) == 0
    assert received(two_nodes, evidence) == [3, 3, 3, 3]  # pod2's replies come back to master


def test_frames_that_a_pod_s_own_egress_drops_are_counted_and_lost(two_nodes):
    pod = two_nodes.pod1
    with (
        foreign.attached(pod.host, "eth0", foreign.SHOT, foreign.EGRESS),
        two_nodes.evidence() as evidence,
    ):
        assert pod.inject("eth0", from_pod(two_nodes)) == 3
    assert received(two_nodes, evidence) == [0, 0, 0, 0]


def test_frames_that_a_node_s_own_egress_drops_are_counted_and_lost(two_nodes):
    with (
        foreign.attached(two_nodes.master.host, "enp0s8", foreign.SHOT, foreign.EGRESS),
        two_nodes.evidence() as evidence,
    ):
        assert two_nodes.master.inject("enp0s8", on_the_wire(two_nodes)) == 3
    assert received(two_nodes, evidence) == [0, 0, 0, 0]


def test_frames_behind_one_that_is_dropped_are_sent(two_nodes):
    pod = two_nodes.pod1
    first, *others = from_pod(two_nodes)
    question = first[:12] + ETH_P_ARP.to_bytes(2, "big") + first[14:]
    with (
        foreign.attached(pod.host, "eth0", foreign.SHOT, foreign.EGRESS, protocol=ETH_P_ARP),
        two_nodes.evidence() as evidence,
    ):
        assert pod.inject("eth0", [question, *others]) == 1
    assert received(two_nodes, evidence)[:1] == [2]


def test_past_the_egress_of_the_node_that_sends(two_nodes):
    """A program that drops there, and the datapath's own, see nothing; nor does a capture."""
    master = two_nodes.master
    with (
        foreign.attached(master.host, "enp0s8", foreign.SHOT, foreign.EGRESS),
        two_nodes.capture() as seen,
        two_nodes.evidence() as evidence,
        two_nodes.run_counts() as runs,
    ):
        assert master.inject("enp0s8", on_the_wire(two_nodes), past_egress=True) == 0
    assert received(two_nodes, evidence)[2:] == [3, 3]
    assert {ran.runs for ran in runs.at("master", "enp0s8", "egress")} == {0}
    assert [ran.runs for ran in runs.at("node1", "enp0s8")] == [3]
    tapped = [(frame.interface, frame.direction) for frame in seen.frames]
    assert tapped.count(("master:enp0s8", "out")) == 0
    assert tapped.count(("node1:enp0s8", "in")) == 3


def test_past_the_egress_of_a_pod(two_nodes):
    pod = two_nodes.pod1
    with (
        foreign.attached(pod.host, "eth0", foreign.SHOT, foreign.EGRESS),
        two_nodes.evidence() as evidence,
    ):
        assert pod.inject("eth0", from_pod(two_nodes), past_egress=True) == 0
    assert received(two_nodes, evidence)[0] == 3


@pytest.mark.parametrize("past_egress", [False, True])
def test_what_else_goes_wrong_is_one_line(two_nodes, past_egress):
    pod, frames = two_nodes.pod1, from_pod(two_nodes)
    for ifname, sent, said in (
        ("eth7", frames, r"^pod1: cannot send from eth7 \(No such device\)$"),
        ("eth0", [*frames, bytes(9000)],
         r"^pod1:eth0: frame 4, of 9000 B, cannot be sent \(Message too long\): is the "),
        ("eth0", [b"short"], r"^pod1:eth0: frame 1, of 5 B, cannot be sent \(Invalid argument\)"),
    ):  # fmt: skip
        with pytest.raises(TrafficError, match=said):
            pod.inject(ifname, sent, past_egress=past_egress)
    pod.down("eth0")
    with pytest.raises(TrafficError, match=r"frame 1, of \d+ B, cannot .* \(Network is down\)"):
        pod.inject("eth0", frames, past_egress=past_egress)
