# SPDX-License-Identifier: Apache-2.0
"""The pods' gateway: an address that no device holds, answered for by the datapath."""

import pytest
from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

from harness.plugin.building import BuildTestbed
from harness.testbed import Testbed
from harness.topology import Family
from harness.watch.capture import WHOLE
from testbeds.one_node.legs import GATEWAY, RESOLUTION, resolution, with_resolution

pytestmark = pytest.mark.needs_macs


@pytest.mark.claims("answers_arp", "answers_nd")
def test_hr16_gateway_is_answered_for(one_node: Testbed, datapath, family, hr_observed):
    pod, master = one_node.pod1, one_node.master
    pod.delete_neighbour("eth0", master.gateway[family])
    with one_node.evidence() as evidence, one_node.capture() as seen:
        exchange = pod.ping(one_node.pod2)
    assert exchange.lost == 0, "lost"
    assert seen.legs() == with_resolution(family, datapath.claims.delivers)
    assert pod.neighbours(family).get(master.gateway[family]) == pod.lxc_mac, "neighbour entry"
    held = {entry.get_attr("IFA_ADDRESS") for entry in master.ns.netlink.get_addr()}
    answers = evidence.nodes["master"].programs.hits.get(("from-container", "answer"), 0)
    hr_observed("answers in BPF", answers)
    hr_observed("gateway is an address of the node", master.gateway[family] in held)
    assert answers == (1 if datapath.claims.counts else 0), "answered in BPF"
    faults = [frame.checksum_faults() for frame in seen.frames]
    assert not any(faults), "checksums"


def _question(pod, target, family):
    """ARP probe (RFC 5227) or duplicate address detection (RFC 4862) for an address."""
    if family == 4:
        probe = ARP(op=1, hwsrc=pod.mac, psrc="0.0.0.0", pdst=target)
        return Ether(src=pod.mac, dst="ff:ff:ff:ff:ff:ff") / probe
    last = int(target.rsplit(":", 1)[1] or "0", 16)  # of the solicited-node multicast address
    solicitation = IPv6(src="::", dst=f"ff02::1:ff00:{last:x}", hlim=255) / ICMPv6ND_NS(tgt=target)
    return Ether(src=pod.mac, dst=f"33:33:ff:00:00:{last:02x}") / solicitation


@pytest.mark.claims("answers_nd")
def test_hr16_gateway_is_probed_from_a_link_local_address(build_testbed: BuildTestbed, datapath):
    """As a pod asks when its entry is stale and no packet waits, whose source would be used."""
    testbed = build_testbed("one_node", datapath, Family.ipv6)
    pod, gateway = testbed.pod1, testbed.master.gateway.ipv6
    pod.add_address("eth0", "fe80::99", 64)
    probe = IPv6(src="fe80::99", dst=gateway, hlim=255) / ICMPv6ND_NS(tgt=gateway)
    frame = Ether(src=pod.mac, dst=pod.lxc_mac) / probe / ICMPv6NDOptSrcLLAddr(lladdr=pod.mac)
    with testbed.capture() as seen:
        pod.inject("eth0", [bytes(frame)])
    assert seen.legs() == resolution(6, datapath.claims.delivers)


def test_hr16_own_address_is_not_answered_for(one_node: Testbed, datapath, family):
    pod = one_node.pod1
    with one_node.capture() as seen:
        pod.inject("eth0", [bytes(_question(pod, pod.address, family))])
    kind, _ = RESOLUTION[family]
    assert seen.legs() == f"pod1:eth0 > {kind} \n master:lxc1 < {kind}"


@pytest.mark.claims("answers_arp", "answers_nd")
def test_hr16_a_pod_may_not_take_the_gateways_address(one_node: Testbed, datapath, family):
    pod = one_node.pod1
    with one_node.capture() as seen:
        pod.inject("eth0", [bytes(_question(pod, pod.node.gateway[family], family))])
    assert seen.legs() == resolution(family, datapath.claims.delivers)


@pytest.mark.claims("answers_gateway_ping")
@pytest.mark.parametrize("size", [0, 57, 1400])
def test_hr16_gateway_answers_ping(one_node: Testbed, datapath, family, size):
    pod, gateway = one_node.pod1, one_node.master.gateway[family]
    with one_node.evidence() as evidence, one_node.capture(WHOLE) as seen:
        exchange = pod.ping(gateway, 2, size=size, ttl=1)
    assert exchange.lost == 0, "lost"
    assert seen.legs() == GATEWAY[datapath.claims.delivers]
    faults = [frame.checksum_faults() for frame in seen.frames]
    assert not any(faults), "checksums"
    replies = seen.at("pod1:eth0", "reply", "in")
    rewritten = {(frame.ttl, frame.source_mac, frame.destination_mac) for frame in replies}
    assert rewritten == {(64, pod.lxc_mac, pod.mac)}, "reply's TTL and MACs"
    answers = evidence.nodes["master"].programs.hits.get(("from-container", "answer"), 0)
    assert answers == (2 if datapath.claims.counts else 0), "answered in BPF"
