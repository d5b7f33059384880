# SPDX-License-Identifier: Apache-2.0
"""What a router owes its hosts, on one node: errors, its own addresses, link scope, sources."""

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from harness.topology import Family
from harness.traffic import IcmpError
from testbeds.one_node.legs import OWN_NODE, REFUSED, UNANSWERED

TIME_EXCEEDED = {4: (11, 0), 6: (3, 0)}


@pytest.mark.parametrize("size", [0, 56, 1000])
def test_hr17_ttl_1_same_node(one_node, datapath, family, size):
    with one_node.capture() as seen:
        exchange = one_node.pod1.ping(one_node.pod2, ttl=1, size=size)
    gateway = one_node.master.gateway[family]
    kind, code = TIME_EXCEEDED[family]
    assert exchange.errors == [IcmpError(gateway, kind, code, 0, 1)]
    assert seen.legs() == REFUSED


@pytest.mark.datapaths("bpf", "bpf-redirect", "bpf-skip-fib")
def test_hr17_time_exceeded_is_limited(one_node, datapath, family):
    # The stack's own limit is switched off in testbeds; the programs' is 64 in 64 jiffies.
    with one_node.evidence() as evidence:
        exchange = one_node.pod1.ping(one_node.pod2, 2000, ttl=1, size=0)
    assert 64 <= len(exchange.errors) < 2000
    limited = evidence.nodes["master"].programs.drops["ttl"]
    assert limited + len(exchange.errors) == 2000


def test_hr17_ttl_1_to_the_node_itself_is_answered(one_node, datapath, family):
    assert one_node.pod1.ping(one_node.master, ttl=1).lost == 0


def test_hr20_address_of_the_node_that_is_no_pod(one_node, datapath, family):
    address = {4: "10.0.1.200", 6: "fd00:10:0:1::c8"}[family]
    one_node.master.add_address("lo", address, family.host_prefix)
    if datapath.name == "bpf-skip-fib":  # without a lookup, an agent must tell it
        one_node.datapath_of("master").installed.sync()
    with one_node.capture() as seen:
        exchange = one_node.pod1.ping(address)
    assert exchange.lost == 0
    assert seen.legs() == OWN_NODE


@pytest.mark.datapaths("bpf", "bpf-redirect")
def test_hr20_address_that_the_node_lost_is_looked_up_again(one_node, datapath, family):
    master, address = one_node.master, {4: "192.0.2.200", 6: "2001:db8::c8"}[family]
    installed = one_node.datapath_of("master").installed
    master.add_address("lo", address, family.host_prefix)
    installed.sync()
    with one_node.evidence() as held:
        assert one_node.pod1.ping(address).lost == 0
    master.delete_address("lo", address, family.host_prefix)
    installed.sync()
    with one_node.evidence() as gone:
        assert one_node.pod1.ping(address).lost == 1
    lookups = [evidence.nodes["master"].programs.fib for evidence in (held, gone)]
    assert lookups == [{}, {"not-fwded": 1}]


@pytest.mark.parametrize("destination", ["ff02::1", "ff05::1", "fe80::99"])
def test_hr23_link_local_and_multicast_are_not_routed(build_testbed, datapath, destination):
    testbed = build_testbed("one_node", datapath, Family.ipv6)
    pod = testbed.pod1
    packet = IPv6(src=pod.address, dst=destination) / UDP(sport=4000, dport=4001) / b"link scope"
    with testbed.capture() as seen:
        pod.inject("eth0", [bytes(Ether(src=pod.mac, dst=pod.lxc_mac) / packet)])
    assert [frame.interface for frame in seen.at("master:lxc1", "other", "in")] == ["master:lxc1"]
    assert {frame.interface for frame in seen.frames} == {"pod1:eth0", "master:lxc1"}


@pytest.mark.datapaths("bpf", "bpf-redirect", "bpf-skip-fib")
@pytest.mark.parametrize("claimed", ["pod2", "stranger"])
def test_hr45_spoofed_source(one_node, datapath, family, claimed):
    pod, victim = one_node.pod1, one_node.pod2
    stranger = {4: "10.0.1.99", 6: "fd00:10:0:1::99"}[family]
    source = victim.address if claimed == "pod2" else stranger
    layer = (IP if family == 4 else IPv6)(src=source, dst=victim.address)
    frame = Ether(src=pod.mac, dst=pod.lxc_mac) / layer / UDP(sport=4000, dport=4001) / b"spoofed"
    with one_node.evidence() as evidence, one_node.capture() as seen:
        pod.inject("eth0", [bytes(frame)])
    assert evidence.nodes["master"].programs.drops == {"source": 1}
    assert seen.legs() == UNANSWERED.replace("request", "other")
