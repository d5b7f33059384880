# SPDX-License-Identifier: Apache-2.0
"""ICMP errors of every kind about a service's flows, whoever sends them, in both directions."""

from typing import Any, NamedTuple

import pytest
from scapy.layers.inet import ICMP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
)
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from harness.plugin.building import BuildTestbed
from harness.topology import addressing as plan
from harness.traffic import headers
from harness.watch.capture import WHOLE
from testbeds.fields import ETHERNET
from testbeds.packets import framed, from_pod, ip
from testbeds.policies import mute, tapped
from testbeds.services import BACKEND_PORT, PORT, Served, settings

pytestmark = pytest.mark.claims("services")

PODS = {"more_pods": 1, "world": True}
FAR = Served(2, (plan.pod(2, 1),))
ROUTER = {4: "203.0.113.9", 6: "2001:db8:113::9"}
SAYS = b"12345678"
MTU = 1300
IP_HEADER = {4: 20, 6: 40}
ERROR_HEADER, PORTS = 8, 8
CLIENT_PORT = 4000

#: Kind → the message. Redirects are left out: conntrack drops those of translated flows.
KINDS: dict[int, dict[str, Any]] = {
    4: {
        "network": ICMP(type=3, code=0),
        "host": ICMP(type=3, code=1),
        "protocol": ICMP(type=3, code=2),
        "port": ICMP(type=3, code=3),
        "too big": ICMP(type=3, code=4, nexthopmtu=MTU),
        "prohibited": ICMP(type=3, code=13),
        "quench": ICMP(type=4),
        "expired": ICMP(type=11, code=0),
        "reassembly": ICMP(type=11, code=1),
        "parameter": ICMP(type=12, code=0, ptr=8),
    },
    6: {
        "no route": ICMPv6DestUnreach(code=0),
        "prohibited": ICMPv6DestUnreach(code=1),
        "address": ICMPv6DestUnreach(code=3),
        "port": ICMPv6DestUnreach(code=4),
        "too big": ICMPv6PacketTooBig(mtu=MTU),
        "expired": ICMPv6TimeExceeded(code=0),
        "reassembly": ICMPv6TimeExceeded(code=1),
        "parameter": ICMPv6ParamProblem(code=1, ptr=6),
    },
}


class Told(NamedTuple):
    """What an error says, and to whom."""

    destination: str
    message: bytes
    quote: bytes


def _quotes(family, source, target, ports):
    """What errors quote of a datagram and of a segment, of TCP also without its sum, by name."""
    header = ip(family, source, target)
    udp = bytes(header / UDP(sport=ports[0], dport=ports[1]) / SAYS)
    tcp = bytes(header / TCP(sport=ports[0], dport=ports[1], flags="S") / SAYS)
    return {"udp": udp, "tcp": tcp, "tcp, ports alone": tcp[: IP_HEADER[family] + PORTS]}


def _flows(quotes):
    """The packets themselves."""
    return [quotes["udp"], quotes["tcp"]]


def _errors(family, source, destination, quotes):
    """An error of each kind about each quote."""
    return [
        ip(family, source, destination) / message / Raw(quote)
        for message in KINDS[family].values()
        for quote in quotes.values()
    ]


def _message(icmp):
    """Type, code and the second four bytes: all but the sum between them."""
    return icmp[:2] + icmp[4:ERROR_HEADER]


def _expected(family, destination, quotes):
    return {
        (kind, name): Told(destination, _message(bytes(message)), quote)
        for kind, message in KINDS[family].items()
        for name, quote in quotes.items()
    }


def _told(seen, interface, family, expected):
    """What the errors say that came to an interface, in the order of those expected; their sums."""
    frames = [
        frame for frame in seen.frames
        if (frame.interface, frame.direction) == (interface, "in")
        and isinstance(frame.headers.transport, headers.ICMP)
        and frame.headers.quote is not None
    ]  # fmt: skip
    at = ETHERNET + IP_HEADER[family]
    found = [
        Told(frame.headers.ip.destination, _message(frame.raw[at:]), frame.raw[at + ERROR_HEADER :])
        for frame in frames
    ]
    wrong = [fault for frame in frames for fault in frame.checksum_faults(partial=False)]
    return dict(zip(expected, found, strict=False)), wrong


def test_hr63_every_error_to_who_asks(build_testbed: BuildTestbed, datapath, family):
    testbed = build_testbed("two_node", datapath, family, PODS, settings(FAR))
    pod, far, front = testbed.pod1, testbed.pod3, FAR.cluster_ip(family)
    mute(pod)
    mute(far)
    own = _quotes(family, pod.address, front.address, (CLIENT_PORT, PORT))
    sent = _quotes(family, pod.address, far.address, (CLIENT_PORT, BACKEND_PORT))
    ether = Ether(src=testbed.node1.macs["enp0s8"], dst=testbed.master.macs["enp0s8"])
    errors = [bytes(ether / e) for e in _errors(family, ROUTER[family], pod.address, sent)]
    with testbed.capture(WHOLE) as seen:
        pod.inject("eth0", [framed(pod.mac, pod.lxc_mac, packet) for packet in _flows(own)])
        testbed.node1.inject("enp0s8", errors, past_egress=True)
    expected = _expected(family, pod.address, own)
    found, wrong = _told(seen, "pod1:eth0", family, expected)
    assert found == expected, "told"
    assert wrong == [], "sums"


def test_hr63_every_error_to_a_backend(build_testbed: BuildTestbed, datapath, family):
    """About its replies, which the client got from the front."""
    testbed = build_testbed("two_node", datapath, family, PODS, settings(FAR))
    pod, far, front = testbed.pod1, testbed.pod3, FAR.cluster_ip(family)
    mute(pod)
    mute(far)
    asked = _quotes(family, pod.address, front.address, (CLIENT_PORT, PORT))
    got = _quotes(family, front.address, pod.address, (PORT, CLIENT_PORT))
    own = _quotes(family, far.address, pod.address, (BACKEND_PORT, CLIENT_PORT))
    errors = [from_pod(pod, e) for e in _errors(family, pod.address, front.address, got)]
    with testbed.capture(WHOLE) as seen:
        pod.inject("eth0", [framed(pod.mac, pod.lxc_mac, packet) for packet in _flows(asked)])
        pod.inject("eth0", errors)
    expected = _expected(family, far.address, own)
    found, wrong = _told(seen, "pod3:eth0", family, expected)
    assert found == expected, "told"
    assert wrong == [], "sums"


def test_hr63_every_error_to_a_backend_that_sees_the_node(
    build_testbed: BuildTestbed, datapath, family
):
    """About replies to a NodePort's client, from a router behind the node that it asked."""
    testbed = build_testbed("two_node", datapath, family, PODS, settings(FAR))
    world, master, far = testbed.world, testbed.master, testbed.pod3
    front = FAR.node_port(master)
    mute(far)
    asked = _quotes(family, world.address, front.address, (CLIENT_PORT, front.port))
    got = _quotes(family, front.address, world.address, (front.port, CLIENT_PORT))
    to_node = (world.macs["eth0"], master.macs["enp0s8"])
    errors = [
        framed(*to_node, bytes(error))
        for error in _errors(family, ROUTER[family], front.address, got)
    ]
    with tapped(far) as tap, testbed.capture(WHOLE) as seen:
        world.inject("eth0", [framed(*to_node, packet) for packet in _flows(asked)])
        arrived: list[Any] = [headers.decode(frame).transport for frame in tap.frames()]
        world.inject("eth0", errors)
    udp, tcp = (
        _quotes(family, far.address, master.address, (BACKEND_PORT, header.source))
        for header in arrived
    )
    expected = _expected(family, far.address, {**tcp, "udp": udp["udp"]})
    found, wrong = _told(seen, "pod3:eth0", family, expected)
    assert found == expected, "told"
    assert wrong == [], "sums"
