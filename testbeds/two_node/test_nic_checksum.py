# SPDX-License-Identifier: Apache-2.0
"""A NIC's sum over the whole packet (CHECKSUM_COMPLETE) after the programs have written to it.

veth gives no such sum, so the programs that are attached are run on packets that have one, as
whoever wrote them: what they write must be added to it, or the next who checks it drops the packet.
"""

import errno

import pytest
from scapy.layers.inet import UDP
from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

from harness.attach import INGRESS, all_attachments
from harness.bpf import syscall
from harness.bpf.loaded import LoadedProgram
from harness.testbed import Testbed
from testbeds.packets import echo, ip

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


def _wrong(node, device, mac, packets):
    """What of the packets that enter a node by a device has a wrong sum afterwards."""
    wrong = []
    ifindex = node.ifindex(device)
    rows = all_attachments(node.ns, device)
    for row in (row for row in rows if row.direction == INGRESS):
        with LoadedProgram(row.id) as program, node.ns:
            for name, packet in packets.items():
                frame = bytes(Ether(src="02:00:00:00:00:09", dst=mac) / packet)
                try:
                    syscall.test_run(program.fd, frame, 1, ifindex, ifindex, summed=True)
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
