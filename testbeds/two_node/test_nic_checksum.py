# SPDX-License-Identifier: Apache-2.0
"""A NIC's sum over the whole packet (CHECKSUM_COMPLETE) after the programs have written to it.

veth gives no such sum, so the programs that are attached are run on packets that have one, as
whoever wrote them: what they write must be added to it, or the next who checks it drops the packet.
"""

import errno

import pytest
from scapy.layers.inet import ICMP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6ND_NS,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6TimeExceeded,
    IPv6,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from harness.attach import EGRESS, INGRESS, all_attachments
from harness.bpf import syscall
from harness.bpf.loaded import LoadedProgram
from harness.plugin.building import BuildTestbed
from harness.testbed import Testbed
from harness.topology import addressing as plan
from testbeds.packets import echo, ip
from testbeds.services import BACKEND_PORT, PORT, Served, settings

_PAYLOAD = b"of an odd length:"


def _datagram(family, source, target, ttl=64):
    return ip(family, source.address, target.address, ttl=ttl) / UDP(sport=1, dport=2) / _PAYLOAD


def _question(pod, family):
    """Who has the gateway's address?"""
    gateway = pod.node.gateway[family]
    if family == 4:
        return ARP(op=1, hwsrc=pod.mac, psrc=pod.address, pdst=gateway)
    solicitation = IPv6(src=pod.address, dst=gateway, hlim=255, tc=0xC0) / ICMPv6ND_NS(tgt=gateway)
    return solicitation / ICMPv6NDOptSrcLLAddr(lladdr=pod.mac)


def _from_the_pod(testbed, family):
    pod, gateway = testbed.pod1, testbed.master.gateway[family]
    return {
        "to a local pod": _datagram(family, pod, testbed.pod2),
        "off the node": _datagram(family, pod, testbed.pod3),
        "expired": _datagram(family, pod, testbed.pod2, ttl=1),
        "expired, off the node": _datagram(family, pod, testbed.pod3, ttl=1),
        "resolves the gateway": _question(pod, family),
        "pings the gateway": ip(family, pod.address, gateway, ttl=1) / echo(family) / _PAYLOAD,
    }


def _off_the_wire(testbed, family):
    ends = testbed.pod3, testbed.pod1
    return {
        "off the wire": _datagram(family, *ends),
        "expired off the wire": _datagram(family, *ends, ttl=1),
    }


def _wrong(node, device, mac, packets, direction=INGRESS):
    """What of the packets that enter a node by a device, or leave it, has a wrong sum then."""
    wrong = []
    ifindex = node.ifindex(device)
    came_in = ifindex if direction == INGRESS else 0
    rows = all_attachments(node.ns, device)
    for row in (row for row in rows if row.direction == direction):
        with LoadedProgram(row.id) as program, node.ns:
            for name, packet in packets.items():
                frame = bytes(Ether(src="02:00:00:00:00:09", dst=mac) / packet)
                try:
                    syscall.test_run(program.fd, frame, 1, ifindex, came_in, summed=True)
                except OSError as error:
                    if error.errno != errno.EBADMSG:
                        raise
                    wrong.append(name)
    return wrong


@pytest.mark.topology(pods_per_node=2)
def test_hr18_nics_sum_over_what_programs_write(
    two_node: Testbed, datapath, family, require_feature
):
    require_feature("test-run-sum")
    master, pod = two_node.master, two_node.pod1
    sent = _from_the_pod(two_node, family)
    assert _wrong(master, pod.lxc, pod.lxc_mac, sent) == [], "sums from a pod"
    uplink = two_node.network.nodes[0].uplink
    came = _off_the_wire(two_node, family)
    assert _wrong(master, uplink, master.macs[uplink], came) == [], "sums off the wire"


NEAR, FAR = Served(1, (plan.pod(1, 2),)), Served(2, (plan.pod(2, 1),))
OWN, NOBODY = Served(3, (plan.node_uplink(1),)), Served(4)
CLIENT_PORT = 4000
ROUTER = {4: "203.0.113.9", 6: "2001:db8:113::9"}
EXPIRED = {4: ICMP(type=11), 6: ICMPv6TimeExceeded()}
_PORTS = 8  # bytes of layer 4 that every error quotes


def _flows(family, source, target, ttl=64):
    """A datagram and a segment, twice: of a flow that begins, and of one that is known.

    Args:
        family: Of the packets.
        source: Address and port.
        target: Address and port.
        ttl: TTL or hop limit.
    """
    header = ip(family, source[0], target[0], ttl=ttl)
    ports = {"sport": source[1], "dport": target[1]}
    packets = {"udp": header / UDP(**ports), "tcp": header / TCP(**ports, flags="A")}
    each = {name: packet / _PAYLOAD for name, packet in packets.items()}
    return {**each, **{f"{name} again": packet for name, packet in each.items()}}


def _errors(family, source, quoted):
    """Errors to the senders of packets; each packet quoted whole, and with its ports alone."""
    errors = {}
    for name, packet in quoted.items():
        header, whole = ip(family, source, packet.src) / EXPIRED[family], bytes(packet)
        ports = whole[: len(whole) - len(packet.payload) + _PORTS]
        errors[f"{name}, whole"] = header / Raw(whole)
        errors[f"{name}, ports"] = header / Raw(ports)
    return errors


@pytest.mark.claims("services")
def test_hr42_nics_sum_over_translations(
    build_testbed: BuildTestbed, datapath, family, require_feature
):
    require_feature("test-run-sum")
    served = settings(NEAR, FAR, OWN, NOBODY)
    testbed = build_testbed("two_node", datapath, family, {"more_pods": 1, "world": True}, served)
    master, pod, near, far = testbed.master, testbed.pod1, testbed.pod2, testbed.pod3
    client, uplink = (pod.address, CLIENT_PORT), testbed.network.nodes[0].uplink
    world = (testbed.world.address, CLIENT_PORT)
    fronts = {each: each.cluster_ip(family)[:2] for each in (NEAR, FAR, OWN, NOBODY)}
    node_ports = {each: each.node_port(master)[:2] for each in (NEAR, FAR, OWN)}
    ends = {NEAR: near.address, FAR: far.address, OWN: master.address}
    replies = {each: _flows(family, (end, BACKEND_PORT), client) for each, end in ends.items()}
    to_world = {each: _flows(family, (end, BACKEND_PORT), world) for each, end in ends.items()}
    got = {each: _flows(family, front, client) for each, front in fronts.items()}
    sent = _flows(family, client, (far.address, BACKEND_PORT))
    datagram = UDP(sport=CLIENT_PORT, dport=PORT, chksum=0) / _PAYLOAD
    unsummed = ip(family, pod.address, fronts[FAR][0]) / datagram

    def from_pod(sender, packets):
        return _wrong(master, sender.lxc, sender.lxc_mac, packets)

    def off_wire(packets):
        return _wrong(master, uplink, master.macs[uplink], packets)

    asked = [wrong for front in fronts.values()
             for wrong in from_pod(pod, _flows(family, client, front))]  # fmt: skip
    asked += from_pod(pod, _flows(family, client, fronts[FAR], ttl=1))
    assert asked == [], "asked by a pod"
    assert from_pod(pod, {"without a sum": unsummed}) == [], "without a sum"
    outside = [wrong for front in node_ports.values()
               for wrong in off_wire(_flows(family, world, front))]  # fmt: skip
    assert outside == [], "asked off the wire"
    answered = from_pod(near, replies[NEAR]) + off_wire(replies[FAR])
    answered += _wrong(master, pod.lxc, pod.mac, replies[OWN], EGRESS)
    answered += from_pod(near, to_world[NEAR])
    answered += _wrong(master, uplink, testbed.world.macs["eth0"], to_world[OWN], EGRESS)
    assert answered == [], "answered"
    told = off_wire(_errors(family, ROUTER[family], sent))
    told += from_pod(pod, _errors(family, pod.address, got[FAR]))
    assert told == [], "errors"
