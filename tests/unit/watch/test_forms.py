# SPDX-License-Identifier: Apache-2.0
"""Forms: a flow's packets after a translation or inside a tunnel, and nothing else's."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, UDPerror
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from harness.testbed.seen import Seen
from harness.topology import Family
from harness.traffic import ANY_PORT, Flow, Form, Tunnelled
from harness.watch.capture import Frame
from harness.watch.legs import legs_of, look

POD, BACKEND, FRONT, NODE, OTHER_NODE = (
    "10.0.1.10", "10.0.1.11", "172.16.200.1", "192.168.56.11", "192.168.56.12",
)  # fmt: skip
POD6, WORLD6, NODE6 = "fd00:10:0:1::a", "2001:db8:100::1", "fd00:56::11"
FORMS = {
    "b": Form(destination=BACKEND, destination_port=8080),
    "nb": Form(NODE, ANY_PORT, BACKEND, 8080),
    "t": Tunnelled(NODE, OTHER_NODE, 7, "b"),
}


def udp(source, sport, destination, dport, number=1):
    return (
        IP(src=source, dst=destination)
        / UDP(sport=sport, dport=dport)
        / Raw(number.to_bytes(4, "big"))
    )


def frame(packet, interface="pod1:eth0", direction="out"):
    raw = bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet)
    return Frame(interface, direction, 0, raw, len(raw))


def flow(**forms):
    return Flow(Family.ipv4, 17, POD, FRONT, 1111, 80, [1], forms=forms or FORMS)


def about(packet):
    quote = IPerror(src=packet.src, dst=packet.dst) / UDPerror(
        sport=packet.sport, dport=packet.dport
    )
    return IP(src=NODE, dst=POD) / ICMP(type=3, code=3) / quote / packet[Raw]


def carried(packet, source=NODE, destination=OTHER_NODE, vni=7, port=8472):
    outer = IP(src=source, dst=destination) / UDP(sport=40000, dport=port)
    return outer / VXLAN(vni=vni, flags="Instance") / Ether() / packet


REQUEST, REPLY = udp(POD, 1111, BACKEND, 8080), udp(BACKEND, 8080, POD, 1111)
LOOKS = [
    ("request", udp(POD, 1111, FRONT, 80)),
    ("reply", udp(FRONT, 80, POD, 1111)),
    ("request.b", REQUEST),
    ("reply.b", REPLY),
    ("request.nb", udp(NODE, 61000, BACKEND, 8080)),
    ("error", about(udp(POD, 1111, FRONT, 80))),
    ("error.b", about(REQUEST)),
    ("error.b", about(REPLY)),
    ("request.t", carried(REQUEST)),
    ("request.t", carried(REQUEST, port=4789)),
    ("reply.t", carried(REPLY, OTHER_NODE, NODE)),
    ("error.t", carried(about(REQUEST), OTHER_NODE, NODE)),
    # One address or port is another.
    ("other", udp(OTHER_NODE, 1111, BACKEND, 8080)),
    ("other", udp(POD, 1112, BACKEND, 8080)),
    ("other", udp(POD, 1111, POD, 8080)),
    ("other", udp(POD, 1111, BACKEND, 80)),
    ("other", udp(POD, 1111, FRONT, 8080)),
    ("other", udp(BACKEND, 80, POD, 1111)),
    ("other", udp(NODE, 61000, FRONT, 80)),
    ("other", IP(src=POD, dst=BACKEND) / TCP(sport=1111, dport=8080)),
    # Of a tunnel: another number, end, direction or form inside, no number, or no tunnel.
    ("other", carried(REQUEST, vni=8)),
    ("other", carried(REQUEST, destination=POD)),
    ("other", carried(REPLY)),
    ("other", carried(udp(POD, 1111, FRONT, 80))),
    ("other", carried(REQUEST, port=8473)),
    ("other", IP(src=NODE, dst=OTHER_NODE) / UDP(dport=8472) / VXLAN(flags=0) / Ether() / REQUEST),
    ("other", IP(src=NODE, dst=OTHER_NODE) / UDP(dport=8472) / Raw(b"short")),
]


@pytest.mark.parametrize(("kind", "packet"), LOOKS)
def test_a_form_is_its_addresses_and_its_ports(kind, packet):
    found = look(frame(packet), [flow()])
    assert found == (kind, None if kind == "other" else (0, 1))


def test_without_forms_a_translated_packet_is_nobodys():
    assert look(frame(REQUEST), [Flow(Family.ipv4, 17, POD, FRONT, 1111, 80, [1])])[0] == "other"


def test_the_first_request_fixes_a_port_that_a_translation_chooses():
    flows = [flow()]
    assert look(frame(udp(BACKEND, 8080, NODE, 61000)), flows)[0] == "other"  # nothing asked yet
    seen = [
        look(frame(packet), flows)[0]
        for packet in (
            udp(NODE, 61000, BACKEND, 8080),
            udp(NODE, 61001, BACKEND, 8080),
            udp(BACKEND, 8080, NODE, 61000),
            udp(BACKEND, 8080, NODE, 61001),
            udp(NODE, 61000, BACKEND, 8080),
        )
    ]
    assert seen == ["request.nb", "other", "reply.nb", "other", "request.nb"]
    assert not flows[0].learns


def test_a_port_outside_the_range_is_not_taken():
    within = flow(n=Form(NODE, range(61_000, 65_536), BACKEND, 8080))
    packet = udp(NODE, 60_999, BACKEND, 8080)
    assert look(frame(packet), [within])[0] == "other"
    assert within.learns


def test_two_flows_that_share_their_forms_have_ports_of_their_own():
    flows = [flow(), flow()]
    for port in (61000, 61001):
        look(frame(udp(NODE, port, BACKEND, 8080)), flows)
    assert [each.learnt for each in flows] == [{"nb": 61000}, {"nb": 61001}]


def test_an_echo_bears_a_form_by_its_id():
    ping = Flow(Family.ipv6, 58, POD6, WORLD6, 7, 7, [1], forms={"n": Form(NODE6, ANY_PORT)})
    seen = [
        look(frame(packet), [ping])
        for packet in (
            IPv6(src=POD6, dst=WORLD6) / ICMPv6EchoRequest(id=7, seq=1),
            IPv6(src=NODE6, dst=WORLD6) / ICMPv6EchoRequest(id=9, seq=1),
            IPv6(src=WORLD6, dst=NODE6) / ICMPv6EchoReply(id=9, seq=1),
            IPv6(src=WORLD6, dst=NODE6) / ICMPv6EchoReply(id=7, seq=1),
            IPv6(src=WORLD6, dst=POD6) / ICMPv6EchoReply(id=7, seq=1),
        )
    ]
    assert seen == [("request", (0, 1)), ("request.n", (0, 1)), ("reply.n", (0, 1)),
                    ("other", None), ("reply", (0, 1))]  # fmt: skip


def test_legs_bear_forms_and_name_each_in_a_direction():
    hairpin = [frame(udp(POD, 1111, FRONT, 80)), frame(REQUEST, "pod1:eth0", "in"), frame(REPLY)]
    legs = legs_of(hairpin, [flow()])
    assert legs == "pod1:eth0 > request > reply.b < request.b"
    assert legs != "pod1:eth0 > request < request.b"
    assert " ".join(str(legs).split()) == "pod1:eth0 > request < request.b > reply.b"


def test_a_wrong_port_at_one_tap_is_another_leg():
    flows = [flow()]
    right = [frame(udp(POD, 1111, FRONT, 80)), frame(REQUEST, "a:x")]
    assert legs_of(right, flows) == "pod1:eth0 > request \n a:x > request.b"
    wrong = [right[0], frame(udp(POD, 1111, BACKEND, 8081), "a:x")]
    assert legs_of(wrong, flows) == "pod1:eth0 > request \n a:x > other"


def test_segments_are_the_same_in_every_form():
    tcp = Flow(Family.ipv4, 6, POD, FRONT, 1111, 80, forms=FORMS)

    def segment(destination, dport, payload):
        return IP(src=POD, dst=destination) / TCP(sport=1111, dport=dport) / Raw(payload)

    sent = [frame(segment(FRONT, 80, payload)) for payload in (b"1", b"22")]
    there = [frame(segment(BACKEND, 8080, payload), "a:x") for payload in (b"1", b"22")]
    assert legs_of(sent + there, [tcp]) == "pod1:eth0 > request \n a:x > request.b"
    legs = legs_of(sent + there[:1], [tcp]).legs
    assert legs["a:x", ">", "request.b"] == "1 of 2"


def test_flows_of_both_protocols_may_take_turns():
    tcp, datagram = Flow(Family.ipv4, 6, POD, FRONT, 1111, 80), flow()
    syn = frame(IP(src=POD, dst=FRONT) / TCP(sport=1111, dport=80))
    frames = [syn, frame(udp(POD, 1111, FRONT, 80))]
    assert legs_of(frames, [tcp, datagram]) == "pod1:eth0 > request"


def test_who_asks_for_a_form_at_one_tap_gets_what_the_first_tap_fixed(tmp_path):
    seen = Seen(tmp_path, [])
    seen.flows, seen.complete = [flow()], True
    first, second = (udp(NODE, port, BACKEND, 8080) for port in (61000, 61001))
    seen.frames = [frame(first, "master:enp0s8"), frame(second, "pod2:eth0", "in")]
    assert seen.at("pod2:eth0", "request.nb") == []
    assert len(seen.at("master:enp0s8", "request.nb")) == 1
