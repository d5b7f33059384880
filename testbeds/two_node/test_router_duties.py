# SPDX-License-Identifier: Apache-2.0
"""What a router owes its hosts, on two nodes: time exceeded, link scope."""

import pytest
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from harness.topology import Family
from harness.traffic import IcmpError
from testbeds.two_node.legs import REFUSED

TIME_EXCEEDED = {4: (11, 0), 6: (3, 0)}


def test_hr17_ttl_1_ends_at_the_first_node(two_node, datapath, family):
    with two_node.capture() as seen:
        exchange = two_node.pod1.ping(two_node.pod2, ttl=1)
    gateway = two_node.master.gateway[family]
    assert exchange.errors == [IcmpError(gateway, *TIME_EXCEEDED[family], 0, 1)]
    assert seen.legs() == REFUSED


def test_hr17_ttl_2_ends_at_the_second_node(two_node, datapath, family):
    with two_node.capture() as seen:
        exchange = two_node.pod1.ping(two_node.pod2, ttl=2)
    node1 = two_node.network.host("node1").addresses[family]
    assert exchange.errors == [IcmpError(node1, *TIME_EXCEEDED[family], 0, 1)]
    told = "" if datapath.name in ("bpf", "bpf-skip-fib") else "> error"
    expected = f"""
        pod1:eth0        > request    < error
        master:lxc1      < request    {told}
        master:enp0s8    > request    < error
        node1:enp0s8     < request    > error
    """
    assert seen.legs() == expected


@pytest.mark.parametrize("destination", ["ff02::1", "ff05::1", "fe80::99"])
def test_hr23_link_scope_never_reaches_the_wire(build_testbed, datapath, destination):
    testbed = build_testbed("two_node", datapath, Family.ipv6)
    pod = testbed.pod1
    packet = IPv6(src=pod.address, dst=destination) / UDP(sport=4000, dport=4001) / b"link scope"
    with testbed.capture() as seen:
        pod.inject("eth0", [bytes(Ether(src=pod.mac, dst=pod.lxc_mac) / packet)])
    assert {frame.interface for frame in seen.frames} == {"pod1:eth0", "master:lxc1"}
