# SPDX-License-Identifier: Apache-2.0
"""What a router owes its hosts, on two nodes: time exceeded, link scope."""

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from harness.plugin.building import BuildTestbed
from harness.testbed import Testbed
from harness.topology import Family
from harness.traffic import IcmpError
from testbeds.packets import from_pod, ip
from testbeds.two_node.legs import REFUSED

TIME_EXCEEDED = {4: (11, 0), 6: (3, 0)}


def test_hr17_ttl_1_ends_at_the_first_node(two_node: Testbed, datapath, family):
    with two_node.capture() as seen:
        exchange = two_node.pod1.ping(two_node.pod2, ttl=1)
    gateway = two_node.master.gateway[family]
    assert exchange.errors == [IcmpError(gateway, *TIME_EXCEEDED[family], 0, 1)], "errors"
    assert seen.legs() == REFUSED


def test_hr17_ttl_2_ends_at_the_second_node(two_node: Testbed, datapath, family):
    with two_node.capture() as seen:
        exchange = two_node.pod1.ping(two_node.pod2, ttl=2)
    node1 = two_node.node1.address
    assert exchange.errors == [IcmpError(node1, *TIME_EXCEEDED[family], 0, 1)], "errors"
    told = "" if datapath.name in ("bpf", "bpf-skip-fib") else "> error"
    expected = f"""
        pod1:eth0        > request    < error
        master:lxc1      < request    {told}
        master:enp0s8    > request    < error
        node1:enp0s8     < request    > error
    """
    assert seen.legs() == expected


def _packet(family, source, destination):
    return ip(family, source, destination) / UDP(sport=4000, dport=4001) / b"crafted"


def _arrived(seen):
    return [f for f in seen.frames if f.interface == "pod2:eth0" and f.direction == "in"]


def test_hr23_tagged_frame_stays_on_its_link(two_node: Testbed, datapath, family):
    pod = two_node.pod1
    packet = Dot1Q(vlan=7) / _packet(family, pod.address, two_node.pod2.address)
    with two_node.capture() as seen:
        pod.inject("eth0", [from_pod(pod, packet)])
    assert {frame.interface for frame in seen.frames} == {"pod1:eth0", "master:lxc1"}, "interfaces"


def test_hr23_link_local_source_from_the_wire_is_not_delivered(
    build_testbed: BuildTestbed, datapath
):
    testbed = build_testbed("two_node", datapath, Family.ipv6)
    nics = [node.macs["enp0s8"] for node in (testbed.master, testbed.node1)]
    packet = _packet(Family.ipv6, "fe80::1:99", testbed.pod2.address)
    with testbed.capture() as seen:
        testbed.master.inject("enp0s8", [bytes(Ether(src=nics[0], dst=nics[1]) / packet)])
    assert _arrived(seen) == [], "arrived"


#: Sources that no other host may use: the receiving node's own, and those that leave no host.
#: Of IPv6's the stack refuses the loopback's alone.
HOSTS_OWN = {4: ["192.168.56.12", "127.0.0.2", "0.0.0.0"], 6: ["::1"]}


def test_hr45_host_source_from_the_wire_is_not_delivered(two_node: Testbed, datapath, family):
    nics = [node.macs["enp0s8"] for node in (two_node.master, two_node.node1)]
    ether = Ether(src=nics[0], dst=nics[1])
    frames = [
        bytes(ether / _packet(family, source, two_node.pod2.address))
        for source in HOSTS_OWN[family]
    ]
    with two_node.capture() as seen:
        two_node.master.inject("enp0s8", frames)
    assert _arrived(seen) == [], "arrived"
    assert len([f for f in seen.frames if f.interface == "node1:enp0s8"]) == len(frames), "sent"


def test_hr17_no_time_exceeded_about_a_later_fragment(build_testbed: BuildTestbed, datapath):
    testbed = build_testbed("two_node", datapath, Family.ipv4)
    pod = testbed.pod1
    fragment = IP(src=pod.address, dst=testbed.pod2.address, ttl=1, frag=100) / b"12345678"
    with testbed.capture() as seen:
        pod.inject("eth0", [from_pod(pod, fragment)])
    left = [frame for frame in seen.frames if frame.direction == "out"]
    assert left == seen.at("pod1:eth0", "fragment", "out"), "frames that left"


@pytest.mark.parametrize("destination", ["ff02::1", "ff05::1", "fe80::99"])
def test_hr23_link_scope_never_reaches_the_wire(build_testbed: BuildTestbed, datapath, destination):
    testbed = build_testbed("two_node", datapath, Family.ipv6)
    pod = testbed.pod1
    packet = IPv6(src=pod.address, dst=destination) / UDP(sport=4000, dport=4001) / b"link scope"
    with testbed.capture() as seen:
        pod.inject("eth0", [from_pod(pod, packet)])
    assert {frame.interface for frame in seen.frames} == {"pod1:eth0", "master:lxc1"}, "interfaces"


@pytest.mark.datapaths("bpf", "bpf-redirect", "bpf-skip-fib")
@pytest.mark.topology(world=True)
def test_hr16_what_is_for_the_gateway_never_follows_the_default_route(
    two_node: Testbed, datapath, family
):
    pod = two_node.pod1
    packet = _packet(family, pod.address, two_node.master.gateway[family])
    with two_node.evidence() as evidence, two_node.capture() as seen:
        pod.inject("eth0", [from_pod(pod, packet)])
    assert {frame.interface for frame in seen.frames} == {"pod1:eth0", "master:lxc1"}, "interfaces"
    assert evidence.nodes["master"].programs.drops == {"gateway": 1}, "drops"
