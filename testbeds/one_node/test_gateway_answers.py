# SPDX-License-Identifier: Apache-2.0
"""Every field of what answers for the pods' gateway: ARP, neighbour discovery, echo."""

import pytest
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr

from harness.plugin.building import BuildTestbed
from harness.testbed import Testbed
from harness.topology import Family
from harness.traffic.headers import ICMP
from harness.watch.capture import WHOLE
from testbeds import questions as q

pytestmark = pytest.mark.needs_macs
_ARP_SIZE = 42


def _came(seen):
    return [f for f in seen.frames if (f.interface, f.direction) == ("pod1:eth0", "in")]


@pytest.mark.claims("answers_arp", family=Family.ipv4)
def test_hr16_every_field_of_arp_answers(build_testbed: BuildTestbed, datapath):
    testbed = build_testbed("one_node", datapath, Family.ipv4)
    pod = testbed.pod1
    asked = [q.arp_question(pod, given) for given in q.ARP_ASKED.values()]
    with testbed.capture() as seen:
        pod.inject("eth0", asked)
    answers = [frame.raw[:_ARP_SIZE].hex(" ") for frame in _came(seen)]
    wanted = [q.arp_answer(pod, given).hex(" ") for given in q.ARP_ASKED.values()]
    assert answers == wanted, "answers"
    with testbed.capture() as silent:
        pod.inject("eth0", [q.arp_question(pod, given) for given in q.ARP_NOT_ASKED.values()])
    assert [str(frame) for frame in _came(silent)] == [], "answered what was not asked"


def _advertised(frame, pod):
    """What an advertisement says: a field a row."""
    packet = frame.packet
    icmp, option = packet[ICMPv6ND_NA], packet.getlayer(ICMPv6NDOptDstLLAddr)
    return {
        "MACs": (frame.source_mac, frame.destination_mac),
        "addresses": (packet["IPv6"].src, packet["IPv6"].dst),
        "hop limit": frame.ttl,
        "code": icmp.code,
        "target": icmp.tgt,
        "router": icmp.R,
        "solicited": icmp.S,
        "override": icmp.O,
        "option": option.lladdr if option else "",
    }


def _advertisement(pod, given):
    """What an advertisement must say; RFC 4861, 7.2.4, lets one to a unicast question leave the
    option out, and then it may not override."""
    gateway, duplicate = pod.node.gateway.ipv6, given.get("src") == "::"
    to = ("33:33:00:00:00:01", "ff02::1") if duplicate else (pod.mac, pod.addresses.ipv6)
    whole = {
        "MACs": (pod.lxc_mac, to[0]),
        "addresses": (gateway, to[1]),
        "hop limit": 255,
        "code": 0,
        "target": gateway,
        "router": 1,
        "solicited": 0 if duplicate else 1,
        "override": 1,
        "option": pod.lxc_mac,
    }
    return [whole, whole | {"override": 0, "option": ""}] if given.get("dst") else [whole]


@pytest.mark.claims("answers_nd", family=Family.ipv6)
def test_hr16_every_field_of_advertisements(build_testbed: BuildTestbed, datapath):
    testbed = build_testbed("one_node", datapath, Family.ipv6)
    pod = testbed.pod1
    with testbed.capture(WHOLE) as seen:
        pod.inject("eth0", [q.nd_question(pod, given) for given in q.ND_ASKED.values()])
    answers, wanted = _came(seen), [_advertisement(pod, given) for given in q.ND_ASKED.values()]
    assert len(answers) == len(wanted), "answered"
    assert [frame.checksum_faults() for frame in answers] == [[]] * len(wanted), "checksums"
    said = [_advertised(frame, pod) for frame in answers]
    right = [one if one in all_ else all_[0] for one, all_ in zip(said, wanted, strict=True)]
    assert said == right, "answers"
    with testbed.capture() as silent:
        pod.inject("eth0", [q.nd_question(pod, given) for given in q.ND_NOT_ASKED.values()])
    assert [str(frame) for frame in _came(silent)] == [], "answered what was not asked"


def _traffic_class(raw):
    first = int.from_bytes(raw[14:16])
    return first & 0xFF if first >> 12 == 4 else first >> 4 & 0xFF


def _echoed(frames):
    """Class of traffic, what ICMP says, and what follows it, of each echo reply."""
    return [
        (_traffic_class(frame.raw), icmp.rest, frame.headers.payload(frame.raw))
        for frame in frames
        if isinstance(icmp := frame.headers.transport, ICMP) and icmp.is_reply
    ]


@pytest.mark.claims("answers_gateway_ping")
def test_hr16_gateway_answers_echo_and_nothing_like_it(one_node: Testbed, datapath, family):
    pod = one_node.pod1
    with one_node.capture(WHOLE) as seen:
        pod.inject("eth0", q.gateway_echoes(pod, family) + q.no_echoes(pod, family))
    sizes = [len(data) for _, rest, data in _echoed(_came(seen)) if rest >> 16 == 0xEC40]
    assert sizes == [0, 1, 8, 57], "answered"
    faults = [frame.checksum_faults() for frame in _came(seen)]
    assert not any(faults), "checksums"
    sent = [
        (_traffic_class(frame), int.from_bytes(frame[at : at + 4]), frame[at + 4 :])
        for at in ({4: 38, 6: 58}[family],)
        for frame in q.gateway_echoes(pod, family)
    ]
    assert _echoed(_came(seen)) == sent, "what is answered"
