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
ADVERTISEMENT = 136
ECHO_REPLY = {4: 0, 6: 129}


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


def _advertisements(seen):
    frames = [(frame, frame.headers.transport) for frame in _came(seen)]
    return [
        frame for frame, icmp in frames if isinstance(icmp, ICMP) and icmp.type == ADVERTISEMENT
    ]


def _advertised(frame):
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
    """What an advertisement may say.

    RFC 4861, 7.2.4: the answer to a unicast question may leave out the option, and with it the
    override flag.
    """
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
    answers = _advertisements(seen)
    wanted = [_advertisement(pod, given) for given in q.ND_ASKED.values()]
    assert len(answers) == len(wanted), "answered"
    assert [frame.checksum_faults() for frame in answers] == [[]] * len(wanted), "checksums"
    said = [_advertised(frame) for frame in answers]
    right = [one if one in all_ else all_[0] for one, all_ in zip(said, wanted, strict=True)]
    assert said == right, "answers"
    with testbed.capture() as silent:
        pod.inject("eth0", [q.nd_question(pod, given) for given in q.ND_NOT_ASKED.values()])
    assert [str(frame) for frame in _advertisements(silent)] == [], "answered what was not asked"


def _traffic_class(raw):
    first = int.from_bytes(raw[14:16])
    return first & 0xFF if first >> 12 == 4 else first >> 4 & 0xFF


def _echoed(raw, at):
    """Class of traffic, id and number, and what follows them."""
    return _traffic_class(raw), raw[at + 4 : at + 8], raw[at + 8 :]


def _replies(seen, family):
    """Of what pod1 got, all that says that it is an echo reply, of whichever family's protocol."""
    found = [(frame.raw, frame.headers) for frame in _came(seen) if frame.headers.ip]
    return [
        _echoed(raw[: headers.end], headers.transport_at)
        for raw, headers in found
        if headers.ip.protocol in (1, 58) and raw[headers.transport_at] == ECHO_REPLY[family]
    ]


@pytest.mark.claims("answers_gateway_ping")
def test_hr16_gateway_answers_echo_and_nothing_like_it(one_node: Testbed, datapath, family):
    pod, requests = one_node.pod1, q.gateway_echoes(one_node.pod1, family)
    with one_node.capture(WHOLE) as seen:
        pod.inject("eth0", requests + q.no_echoes(pod, family))
    replies, asked = _replies(seen, family), [_echoed(r, {4: 34, 6: 54}[family]) for r in requests]
    data = [content for *_, content in replies]
    assert [content for *_, content in asked if content not in data] == [], "answered"
    assert replies == asked, "what is answered"
    faults = [frame.checksum_faults() for frame in _came(seen)]
    assert not any(faults), "checksums"
