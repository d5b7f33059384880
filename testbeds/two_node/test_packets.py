# SPDX-License-Identifier: Apache-2.0
"""Packets of every protocol, port, order and size, to a pod of the node, another's and from afar.

pod1 and pod2 are on master, pod3 is on node1.
"""

from itertools import permutations

import pytest
from scapy.layers.inet import TCP, UDP

from harness.testbed import Testbed
from harness.topology import Family
from harness.watch.capture import WHOLE
from testbeds.packets import echo, fragments, from_pod, handed, ip
from testbeds.sightings import arrived, but_for_the_ttl, refusals, replies
from testbeds.strangers import strangers

three_pods = pytest.mark.topology(more_pods=1, world=True)
NODES = ("master", "node1")


def _routes(bed: Testbed):
    """Who sends to which pod: on its node, on another, and from outside."""
    return (bed.pod1, bed.pod2), (bed.pod1, bed.pod3), (bed.world, bed.pod1)


def _send(bed: Testbed, craft):
    """Send crafted packets on every route; returns each route's frames.

    `craft` gives a route's packets, by the IP header that they begin with.
    """
    sent = {}
    for sender, pod in _routes(bed):
        packets = craft(ip(pod.family, sender.address, pod.address))
        sent[sender, pod] = [handed(sender, pod, packet) for packet in packets]
        sender.inject("eth0", sent[sender, pod])
    return sent.items()


def _forwarded(evidence):
    """Whether the nodes' stacks forwarded anything."""
    return {name: evidence.nodes[name].hooks["forward"] > 0 for name in NODES}


#: DNS, DHCP of both families, BGP, web, VXLAN, Geneve, Cilium's VXLAN, and NodePorts' first and
#: last: what a datapath may look for.
PORTS = (0, 53, 67, 68, 80, 179, 443, 546, 547, 4789, 6081, 8472, 30000, 32767)
#: Both ways round: what is asked there, and what answers from there.
PAIRS = [*((4000, port) for port in PORTS), *((port, 4001) for port in PORTS)]
REFUSED = {4: (3, 3), 6: (1, 4)}
#: Hosts whose interfaces the tests look at.
ENDS = ("pod1", "pod2", "pod3", "world")


def _of_any_protocol_and_port(header):
    return strangers(header) + [
        header / layer(sport=source, dport=port) / content
        for layer, content in ((UDP, b"datagram"), (TCP, b""))
        for source, port in PAIRS
    ]


@three_pods
def test_hr12_packets_of_any_protocol_and_port(two_node: Testbed, datapath, family):
    with two_node.evidence() as evidence, two_node.capture(WHOLE, ENDS) as seen:
        for name in NODES:  # connection tracking sums UDP-Lite up as if it were UDP: INVALID
            two_node.node(name).ns.sysctl("netfilter/nf_conntrack_checksum", 0)
        sent = _send(two_node, _of_any_protocol_and_port)
    for (sender, pod), frames in sent:
        assert arrived(seen, sender, pod) == but_for_the_ttl(frames), "all but the TTL"
        errors, resets = refusals(seen, sender, pod.address)
        assert errors == [(*REFUSED[family], *pair) for pair in PAIRS], "errors"
        assert resets == PAIRS, "resets"
    stack = not datapath.claims.bypasses_stack
    assert _forwarded(evidence) == dict.fromkeys(NODES, stack), "forward hook"


@three_pods
def test_hr12_refusals_of_others(two_node: Testbed, datapath, family):
    pod, others = two_node.pod1, (two_node.world, two_node.node1, two_node.master)
    ports = [(4000, port) for port in PORTS if port]
    with two_node.evidence() as evidence, two_node.capture(only=("pod1",)) as seen:
        for other in others:
            header = ip(family, pod.address, other.address)
            packets = [
                header / layer(sport=4000, dport=p) for layer in (UDP, TCP) for _, p in ports
            ]
            pod.inject("eth0", [from_pod(pod, packet) for packet in packets])
    for other in others:
        errors, resets = refusals(seen, pod, other.address)
        assert errors == [(*REFUSED[family], *pair) for pair in ports], "errors"
        assert resets == ports, "resets"
    stack = not datapath.claims.bypasses_stack
    assert _forwarded(evidence) == {"master": stack, "node1": False}, "forward hook"


#: Three fragments in every order.
ORDERS = tuple(permutations(range(3)))
#: Bytes of payload: in one packet, in three, and the most that IPv4 carries.
SIZES = (1400, 3000, 65507)


def _in_every_order(header):
    content = bytes(range(64))
    carried = [echo(Family(header.version), number=7), UDP(sport=4000, dport=4001)]
    return [
        fragments(header / packet / content, 0x100 + 2 * number + kind)[index]
        for number, order in enumerate(ORDERS)
        for kind, packet in enumerate(carried)
        for index in order
    ]


def _lost_of_any_size(bed: Testbed):
    """Datagrams of each size that were lost between the ends of a route, either way."""
    return [
        f"{client} > {server}: {size}"
        for ends in _routes(bed)
        for client, server in permutations(ends)
        for size in SIZES
        if client.datagrams(server, size=size).lost
    ]


@three_pods
def test_hr12_fragments_in_any_order_and_of_any_size(two_node: Testbed, datapath, family):
    with two_node.evidence() as evidence:
        with two_node.capture(WHOLE, ENDS) as seen:
            sent = _send(two_node, _in_every_order)
        lost = _lost_of_any_size(two_node)
    bypassed = datapath.claims.bypasses_stack
    for (sender, pod), frames in sent:
        if bypassed:  # connection tracking puts them together, and cuts them anew
            assert arrived(seen, sender, pod) == but_for_the_ttl(frames), "all but the TTL"
        errors, _ = refusals(seen, sender, pod.address)
        assert errors == [(*REFUSED[family], 4000, 4001)] * len(ORDERS), "datagrams refused"
        assert replies(seen, sender, pod.address) == len(ORDERS), "echoes answered"
    assert lost == [], "lost"
    assert _forwarded(evidence) == dict.fromkeys(NODES, not bypassed), "forward hook"
