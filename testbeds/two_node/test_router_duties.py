# SPDX-License-Identifier: Apache-2.0
"""What a router owes its hosts, on two nodes: time exceeded, link scope."""

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from harness.plugin.building import BuildTestbed
from harness.testbed import Testbed
from harness.topology import Family
from harness.watch.capture import WHOLE
from harness.watch.legs import LegTable
from testbeds import errors
from testbeds.packets import from_pod, ip, probe
from testbeds.two_node.legs import DROPPED, EXPIRED, REFUSED_FAR

TIME_EXCEEDED = {4: (11, 0), 6: (3, 0)}
#: What a router begins with (RFC 1700, "IP TIME TO LIVE PARAMETER").
INITIAL_TTL = 64


def _told(exchange):
    return [(error.type, error.code, error.number) for error in exchange.errors]


def _sources(exchange):
    return {error.source for error in exchange.errors}


def _routers(node, family):
    """The addresses that a node may send an error from: its pods' gateway's, and its own."""
    return {node.gateway[family], node.address}


@pytest.mark.claims("time_exceeded")
def test_hr17_ttl_1_ends_at_the_first_node(two_node: Testbed, datapath, family):
    with two_node.capture() as seen:
        exchange = two_node.pod1.ping(two_node.pod2, ttl=1)
        probe(two_node.pod1, two_node.pod2.address, ttl=1)
    assert _told(exchange) == [(*TIME_EXCEEDED[family], 1)], "errors"
    assert _sources(exchange) <= _routers(two_node.master, family), "error's source"
    assert seen.legs() == EXPIRED[datapath.claims.delivers]
    assert min(e.ttl for e in seen.at("pod1:eth0", "error", "in")) >= INITIAL_TTL, "error's TTL"


@pytest.mark.claims("time_exceeded", "decrements_ttl")
def test_hr17_ttl_2_ends_at_the_second_node(two_node: Testbed, datapath, family):
    with two_node.capture() as seen:
        exchange = two_node.pod1.ping(two_node.pod2, ttl=2)
        probe(two_node.pod1, two_node.pod2.address, ttl=2)
    assert _told(exchange) == [(*TIME_EXCEEDED[family], 1)], "errors"
    assert _sources(exchange) <= _routers(two_node.node1, family), "error's source"
    assert seen.legs() == REFUSED_FAR[datapath.claims.off_wire]
    assert min(e.ttl for e in seen.at("master:enp0s8", "error", "in")) >= INITIAL_TTL, "error's TTL"


@pytest.mark.claims("time_exceeded")
def test_hr17_every_field_of_time_exceeded_from_the_wire(two_node: Testbed, datapath, family):
    pod, nics = two_node.pod1, [node.macs["enp0s8"] for node in (two_node.master, two_node.node1)]
    packets, others = (
        errors.refused(pod, two_node.pod2.address, (1, 8), (1, 0), macs=(nics[0], to))
        for to in (nics[1], "02:00:00:00:00:99")
    )
    with two_node.capture(WHOLE) as seen:
        two_node.master.inject("enp0s8", [each.frame for each in packets], past_egress=True)
    found = errors.errors(seen.frames, "master:enp0s8")
    pairs = list(errors.matched(packets, found))
    assert [each.name for each, _ in pairs] == [each.name for each in packets], "answered"
    assert {(f.source_mac, f.destination_mac) for f in found} == {(nics[1], nics[0])}, "MACs"
    faults = [frame.checksum_faults() for frame in found]
    assert not any(faults), "checksums"
    changed = [each.name for each, frame in pairs if not errors.begins(each, errors.quote(frame))]
    assert changed == [], "quotes"
    with two_node.capture() as elsewhere:
        two_node.master.inject("enp0s8", [each.frame for each in others], past_egress=True)
    assert errors.errors(elsewhere.frames, "master:enp0s8") == [], "errors about others' frames"


def _packet(family, source, destination):
    return ip(family, source, destination) / UDP(sport=4000, dport=4001) / b"crafted"


def _arrived(seen):
    return [f for f in seen.frames if f.interface == "pod2:eth0" and f.direction == "in"]


@pytest.mark.claims("keeps_link_scope")
def test_hr23_tagged_frame_stays_on_its_link(two_node: Testbed, datapath, family):
    pod = two_node.pod1
    packet = Dot1Q(vlan=7) / _packet(family, pod.address, two_node.pod2.address)
    with two_node.capture() as seen:
        pod.inject("eth0", [from_pod(pod, packet)])
    assert {frame.interface for frame in seen.frames} == {"pod1:eth0", "master:lxc1"}, "interfaces"


@pytest.mark.claims("keeps_link_scope")
def test_hr23_link_local_source_from_the_wire_is_not_delivered(
    build_testbed: BuildTestbed, datapath
):
    testbed = build_testbed("two_node", datapath, Family.ipv6)
    nics = [node.macs["enp0s8"] for node in (testbed.master, testbed.node1)]
    packet = _packet(Family.ipv6, "fe80::1:99", testbed.pod2.address)
    with testbed.capture() as seen:
        frame = bytes(Ether(src=nics[0], dst=nics[1]) / packet)
        testbed.master.inject("enp0s8", [frame], past_egress=True)
    assert _arrived(seen) == [], "arrived"


#: Sources that no other host may use: the receiving node's own, its pods' gateway's, and those that
#: leave no host or are a group's. Of IPv6's the stack refuses neither the node's nor the gateway's.
HOSTS_OWN = {
    4: ["192.168.56.12", "10.0.2.1", "127.0.0.2", "0.0.0.0", "224.0.0.1", "255.255.255.255"],
    6: ["::1", "::", "ff02::1", "ff0e::1"],
}


@pytest.mark.claims("wire_source_check")
def test_hr45_host_source_from_the_wire_is_not_delivered(two_node: Testbed, datapath, family):
    nics = [node.macs["enp0s8"] for node in (two_node.master, two_node.node1)]
    ether = Ether(src=nics[0], dst=nics[1])
    frames = [
        bytes(ether / _packet(family, source, two_node.pod2.address))
        for source in HOSTS_OWN[family]
    ]
    with two_node.capture() as seen:
        two_node.master.inject("enp0s8", frames, past_egress=True)
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


@pytest.mark.claims("keeps_link_scope")
@pytest.mark.parametrize("destination", ["ff02::1", "ff05::1", "fe80::99"])
def test_hr23_link_scope_never_reaches_the_wire(build_testbed: BuildTestbed, datapath, destination):
    testbed = build_testbed("two_node", datapath, Family.ipv6)
    pod = testbed.pod1
    packet = IPv6(src=pod.address, dst=destination) / UDP(sport=4000, dport=4001) / b"link scope"
    with testbed.capture() as seen:
        pod.inject("eth0", [from_pod(pod, packet)])
    assert {frame.interface for frame in seen.frames} == {"pod1:eth0", "master:lxc1"}, "interfaces"


@pytest.mark.topology(world=True)
def test_hr16_what_is_for_the_gateway_never_follows_the_default_route(
    two_node: Testbed, datapath, family
):
    pod = two_node.pod1
    with two_node.evidence() as evidence, two_node.capture() as seen:
        probe(pod, two_node.master.gateway[family])
    taps = LegTable.parse(DROPPED[datapath.claims.delivers]).interfaces()
    assert {frame.interface for frame in seen.frames} == set(taps), "interfaces"
    drops = evidence.nodes["master"].programs.drops
    assert drops == ({"gateway": 2} if datapath.claims.counts else {}), "drops"
