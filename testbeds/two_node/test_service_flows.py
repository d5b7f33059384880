# SPDX-License-Identifier: Apache-2.0
"""Flows of services on two nodes: errors about them, fragments, and ports that would be taken."""

import socket
from typing import Any

import pytest
from scapy.layers.inet import ICMP, UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from harness.plugin.building import BuildTestbed
from harness.topology import addressing as plan
from harness.topology.addressing import Addresses
from harness.traffic import Flow, Front
from harness.traffic.fence import Fence, pinned
from harness.traffic.flow import NUMBER
from harness.traffic.headers import decode
from harness.watch.capture import WHOLE
from testbeds.fields import ETHERNET
from testbeds.packets import from_pod, ip, number_of
from testbeds.policies import mute, tapped
from testbeds.services import BACKEND_PORT, PORT, Asking, Served, forms, settings
from testbeds.two_node.legs import NODE_PORT_REFUSED

pytestmark = pytest.mark.claims("services")

MTU = 1400
HEADERS = {4: 28, 6: 48}  # IP and ICMP
IP_HEADER = {4: 20, 6: 40}
SAYS = b"12345678"
PODS = {"more_pods": 1, "world": True}
OUTSIDE = Addresses("203.0.113.80", "2001:db8:113::80")  # RFC 5737, RFC 3849
FAR = Served(2, (plan.pod(2, 1),), external=OUTSIDE)
ROUTER = {4: "203.0.113.9", 6: "2001:db8:113::9"}
TOO_BIG: dict[int, Any] = {
    4: lambda: ICMP(type=3, code=4, nexthopmtu=1300), 6: lambda: ICMPv6PacketTooBig(mtu=1300),
}  # fmt: skip


def _quoted(frames):
    """Of each ICMP error among some frames what it quotes: addresses and ports."""
    packets: list[Any] = [decode(frame) for frame in frames]
    return [
        (packet.quote.ip.source, packet.quote.transport.source,
         packet.quote.ip.destination, packet.quote.transport.destination)
        for packet in packets
        if packet.quote is not None
    ]  # fmt: skip


def _received(sock):
    """A datagram and who sent it: nobody, if none came."""
    try:
        payload, sender = sock.recvfrom(4000)
    except BlockingIOError:
        return b"", None
    return payload, sender[:2]


def test_hr63_an_expired_packet_is_quoted_as_it_was_sent(
    build_testbed: BuildTestbed, datapath, family
):
    testbed = build_testbed("two_node", datapath, family, PODS, settings(FAR))
    pod, front = testbed.pod1, FAR.cluster_ip(family)
    packet = ip(family, pod.address, front.address, ttl=1) / UDP(sport=4000, dport=PORT)
    with tapped(pod) as tap:
        pod.inject("eth0", [from_pod(pod, packet / SAYS)])
        quoted = _quoted(tap.frames())
    assert quoted == [(pod.address, 4000, front.address, PORT)], "quoted"


def test_hr63_a_routers_error_speaks_of_the_front(build_testbed: BuildTestbed, datapath, family):
    testbed = build_testbed("two_node", datapath, family, PODS, settings(FAR))
    pod, front, far = testbed.pod1, FAR.cluster_ip(family), testbed.pod3
    mute(far)
    mute(pod)
    asked = ip(family, pod.address, front.address) / UDP(sport=4000, dport=PORT)
    sent = ip(family, pod.address, far.address) / UDP(sport=4000, dport=BACKEND_PORT)
    error = ip(family, ROUTER[family], pod.address) / TOO_BIG[family]() / Raw(bytes(sent / SAYS))
    with tapped(pod) as tap, testbed.capture(WHOLE) as seen:
        pod.inject("eth0", [from_pod(pod, asked / SAYS)])
        ether = Ether(src=testbed.node1.macs["enp0s8"], dst=testbed.master.macs["enp0s8"])
        testbed.node1.inject("enp0s8", [bytes(ether / error)], past_egress=True)
        quoted = _quoted(tap.frames())
    assert quoted == [(pod.address, 4000, front.address, PORT)], "quoted"
    told = [f for f in seen.frames if (f.interface, f.direction) == ("pod1:eth0", "in")]
    assert [frame.checksum_faults(partial=False) for frame in told] == [[]], "sums"
    ports = ETHERNET + HEADERS[family] + IP_HEADER[family]
    first = bytes(asked / SAYS)[: IP_HEADER[family] + 8]
    quotes = [frame.raw[ports - IP_HEADER[family] : ports + 8] for frame in told]
    assert quotes == [first], "quote, every byte of it"


def test_hr63_a_backend_that_refuses(build_testbed: BuildTestbed, datapath, family):
    testbed = build_testbed("two_node", datapath, family, PODS, settings(FAR))
    world, master, pod3 = testbed.world, testbed.master, testbed.pod3
    front = FAR.node_port(master)
    flow = Flow(family, socket.IPPROTO_UDP, world.address, front.address, 4000, front.port,
                forms=forms(pod3, nb=master.address))  # fmt: skip
    packet = ip(family, world.address, front.address) / UDP(sport=4000, dport=front.port)
    ether = Ether(src=world.macs["eth0"], dst=master.macs["enp0s8"])
    frame = bytes(ether / packet / NUMBER.pack(1))
    flow.sent.append(number_of(frame, flow))
    with testbed.capture(WHOLE) as seen:
        world.inject("eth0", [frame], flow)
    assert seen.legs() == NODE_PORT_REFUSED[datapath.claims.off_wire]
    errors = seen.at("world:eth0", "error", "in")
    assert [str(frame.headers.ip and frame.headers.ip.source) for frame in errors] == [
        master.address
    ], "who refuses"
    assert [frame.checksum_faults(partial=False) for frame in errors] == [[]], "sums"


def test_hr63_too_big_for_the_way_to_a_backend(build_testbed: BuildTestbed, datapath, family):
    topology = {**PODS, "wire_mtu": MTU}
    testbed = build_testbed("two_node", datapath, family, topology, settings(FAR))
    pod, front = testbed.pod1, FAR.cluster_ip(family)
    fields: dict[str, Any] = {"flags": "DF"} if family == 4 else {}
    header = ip(family, pod.address, front.address, **fields) / UDP(sport=4000, dport=PORT)
    frame = from_pod(pod, header / bytes(MTU + 1 - len(header)))
    with tapped(pod) as tap, testbed.evidence() as evidence:
        pod.inject("eth0", [frame])
        answers = tap.frames()
    entered = sum(evidence.nodes["master"].hooks.values())
    assert (entered == 0) == datapath.claims.bypasses_stack, "netfilter's hooks"
    assert _quoted(answers) == [(pod.address, 4000, front.address, PORT)], "quoted"
    errors: list[Any] = [decode(frame).transport for frame in answers]
    assert [error.rest for error in errors] == [MTU], "MTU"


def test_hr64_fragments_there_and_back(build_testbed: BuildTestbed, datapath, family):
    testbed = build_testbed("two_node", datapath, family, PODS, settings(FAR))
    pod, far, front = testbed.pod1, testbed.pod3, FAR.cluster_ip(family)
    payload = bytes(range(250)) * 12
    with (
        Fence(pod.ns) as fence,
        far.ns.socket(family.af, socket.SOCK_DGRAM) as server,
        pod.ns.socket(family.af, socket.SOCK_DGRAM) as client,
        pinned(),
    ):
        for end in (server, client):
            end.setblocking(False)
        server.bind((far.address, BACKEND_PORT))
        client.bind((pod.address, 0))
        client.sendto(payload, (front.address, front.port))
        fence.pass_()
        heard, asked_by = _received(server)
        if asked_by:
            server.sendto(heard, asked_by)
            fence.pass_()
        answer, answered_by = _received(client)
    assert (heard, answer) == (payload, payload), "whole"
    assert answered_by == (front.address, front.port), "answered by"


def test_hr66_one_client_port_through_several_fronts(build_testbed: BuildTestbed, datapath, family):
    testbed = build_testbed("two_node", datapath, family, PODS, settings(FAR))
    world, master, far = testbed.world, testbed.master, testbed.pod3
    to = f"{OUTSIDE[family]}/{family.host_prefix}"
    world.add_route(to, dev="eth0", gateway=master.address)
    asked = [FAR.node_port(master)[:2], (OUTSIDE[family], PORT), FAR.node_port(testbed.node1)[:2]]
    with (
        Fence(world.ns) as fence,
        far.ns.socket(family.af, socket.SOCK_DGRAM) as server,
        world.ns.socket(family.af, socket.SOCK_DGRAM) as client,
        pinned(),
    ):
        for end in (server, client):
            end.setblocking(False)
        server.bind((far.address, BACKEND_PORT))
        client.bind((world.address, 61_500))  # a port that a node would keep if it could
        seen, answers = [], []
        for front in asked:
            client.sendto(b"who am I?", front)
            fence.pass_()
            seen.append(_received(server)[1])
        for who in filter(None, seen):
            server.sendto(b"you", who)
            fence.pass_()
            answers.append(_received(client)[1])
    assert len(set(seen)) == 3, "ports that the backend sees"
    assert answers == asked, "answered by"


@pytest.mark.claims(counts=True)
def test_hr58_every_node_chooses_alike(build_testbed: BuildTestbed, datapath, family):
    backends = tuple(plan.pod(node, number) for node in (1, 2) for number in (1, 2))
    served = Served(8, backends, external=OUTSIDE)
    topology = {"pods_per_node": 2, "world": True}
    testbed = build_testbed(
        "two_node", datapath, family, topology, settings(served, choice="maglev")
    )
    world = testbed.world
    ends = (testbed.pod1, testbed.pod2, testbed.pod3, testbed.pod4)
    found = {}
    with Asking(world, ends, Front(OUTSIDE[family], PORT, BACKEND_PORT)) as asking:
        asking.begin(64)
        for node in (testbed.master, testbed.node1):
            way = {"dev": "eth0", "gateway": node.address}
            world.add_route(f"{OUTSIDE[family]}/{family.host_prefix}", **way)
            found[node.name] = asking.reached()
            world.delete_route(f"{OUTSIDE[family]}/{family.host_prefix}", **way)
    assert set(found["master"]) == {end.name for end in ends}, "every backend"
    assert found["node1"] == found["master"], "both nodes"
