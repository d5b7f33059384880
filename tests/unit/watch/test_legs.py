# SPDX-License-Identifier: Apache-2.0
"""Tables of legs, and what a frame is to a flow."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, UDPerror, fragment
from scapy.layers.inet import ICMPerror as ICMPQuote
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RS,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from harness.topology import Family
from harness.traffic import Flow, Form
from harness.watch.capture import Frame
from harness.watch.legs import Difference, LegTable, classify, legs_of, look

A, B, ROUTER = "10.0.1.10", "10.0.1.11", "10.0.1.1"
A6, B6, ROUTER6 = "fd00:10:0:1::a", "fd00:10:0:1::b", "fd00:10:0:1::1"
PING = Flow(Family.ipv4, 1, A, B, 7, 7, [1])
NODE = "192.168.56.11"
MASQUERADED = Flow(Family.ipv4, 1, A, B, 7, 7, [1], forms={"n": Form(NODE)})
PING6 = Flow(Family.ipv6, 58, A6, B6, 7, 7, [1])
UDP4 = Flow(Family.ipv4, 17, A, B, 1111, 2222, [1])
TCP6 = Flow(Family.ipv6, 6, A6, B6, 1111, 2222)


def frame(packet, interface="pod1:eth0", direction="out", time=0):
    raw = bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet)
    return Frame(interface, direction, time, raw, len(raw))


def number(value):
    return Raw(value.to_bytes(4, "big") + bytes(60))


def echo(value, kind="echo-request", identity=7, src=A, dst=B):
    return IP(src=src, dst=dst) / ICMP(type=kind, id=identity, seq=value) / Raw(bytes(56))


# ------------------------------------------------------------------------------------- the parser


def test_a_table_is_read_with_comments_and_blank_lines():
    table = LegTable.parse("""
        # who sees what
        pod1:eth0    > request    < reply   # both

        master:lxc1  < request
    """)
    assert table.legs == {
        ("pod1:eth0", ">", "request"): "",
        ("pod1:eth0", "<", "reply"): "",
        ("master:lxc1", "<", "request"): "",
    }
    assert table.interfaces() == ["pod1:eth0", "master:lxc1"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("lxc1 < request", "not `interface arrow kind"),
        ("master:lxc1 < request >", "not `interface arrow kind"),
        ("master:lxc1 = request", "neither < nor >: '='"),
        ("master:lxc1 < request < request", "twice: < request at master:lxc1"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(line, words):
    with pytest.raises(ValueError, match=words):
        LegTable.parse(line)


def test_the_same_leg_on_two_lines_is_refused():
    with pytest.raises(ValueError, match="twice"):
        LegTable.parse("a:b < request\na:b < request")


def test_what_is_printed_reads_back():
    table = LegTable.parse("pod1:eth0 > request < reply\nmaster:lxc1 < error > who-has")
    assert LegTable.parse(str(table)) == table
    assert str(LegTable.parse("")) == "no legs"


# --------------------------------------------------------------------------------- the comparison


def test_order_of_lines_and_cells_does_not_matter():
    assert (
        LegTable.parse("a:x > request < reply\nb:y < request")
        == "b:y < request\na:x < reply > request"
    )


@pytest.mark.parametrize(
    "other",
    [
        "a:x > request",  # one missing
        "a:x > request < reply > error",  # one extra
        "a:x < request < reply",  # another direction
        "a:y > request < reply",  # another interface
        "",
    ],
)
def test_any_difference_is_unequal(other):
    assert LegTable.parse("a:x > request < reply") != other


def test_a_remark_makes_a_leg_unequal():
    seen = LegTable({("a:x", ">", "request"): "3 of 10"})
    assert seen != "a:x > request"
    assert seen == LegTable({("a:x", ">", "request"): "3 of 10"})
    assert seen != 5


def test_an_explanation_shows_both_tables_and_the_difference():
    seen = LegTable(
        {
            ("pod1:eth0", ">", "request"): "",
            ("master:lxc1", ">", "reply"): "",
            ("pod2:eth0", "<", "request"): "9 of 10",
        }
    )
    expected = LegTable.parse("""
        pod1:eth0    > request   < reply
        pod2:eth0    < request
    """)
    difference = Difference(expected, seen)
    lines = difference.lines()
    assert lines[0].split() == ["expected", "seen"]
    by_interface = {line.split()[0]: line for line in lines[1:]}
    assert list(by_interface) == ["pod1:eth0", "pod2:eth0", "master:lxc1"]
    assert by_interface["pod1:eth0"].endswith("missing: < reply")
    assert by_interface["master:lxc1"].endswith("extra: > reply")
    assert by_interface["pod2:eth0"].endswith("missing: < request  extra: < request (9 of 10)")
    assert "< request (9 of 10)" in by_interface["pod2:eth0"]
    assert difference.missing == ["pod1:eth0 < reply", "pod2:eth0 < request"]
    assert difference.extra == ["master:lxc1 > reply", "pod2:eth0 < request (9 of 10)"]
    assert difference.headline.endswith(": 2 missing, 2 extra")


def test_equal_tables_explain_nothing():
    table = LegTable.parse("a:x > request")
    difference = Difference(table, table)
    assert (difference.missing, difference.extra) == ([], [])
    assert not [line for line in difference.lines() if "missing" in line or "extra" in line]


THROUGH = "a:x > request < reply"
PAST = "a:x > request"
BY_DELIVERY = {"stack": THROUGH, "lxc": THROUGH, "peer": PAST}


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (
            {"LEGS": BY_DELIVERY},
            "The legs seen are those of delivery stack or lxc in LEGS, not of peer.",
        ),
        (
            {"other": {"a": "no legs at all"}, "LEGS": {False: {}, True: BY_DELIVERY}},
            "The legs seen are those of delivery stack or lxc in LEGS[True], not of peer.",
        ),
        ({"LEGS": {"stack": THROUGH}, "OTHERS": {"peer": PAST}}, ""),  # nobody chose between these
        ({"LEGS": {"stack": "a:x < reply", "peer": PAST}}, ""),
        ({"stack": THROUGH, "number": 5, "names": {1: 2}, "empty": {}}, ""),
    ],
)
def test_legs_of_another_delivery_are_called_so(names, sentence):
    difference = Difference(LegTable.parse(PAST), LegTable.parse(THROUGH))
    assert difference.delivery(names) == sentence


# ------------------------------------------------------------------------------------- the frames

QUOTE = IPerror(src=A, dst=B) / ICMPQuote(type=8, id=7, seq=1)
QUOTE_UDP = IPerror(src=A, dst=B) / UDPerror(sport=1111, dport=2222) / number(1)
QUOTE6 = IPv6(src=A6, dst=B6) / ICMPv6EchoRequest(id=7, seq=1)


def segment(sport, dport, payload=b"123"):
    return TCP(sport=sport, dport=dport, seq=5, ack=6, flags="PA") / Raw(payload)


#: Sequence number, acknowledgement, header length and flags (PSH, ACK), the length IPv6 states.
SEGMENT = int.from_bytes(bytes.fromhex("00000005 00000006 5018 0017"))
FRAMES = [
    ("request", echo(1), PING, 1),
    ("reply", echo(1, "echo-reply", src=B, dst=A), PING, 1),
    ("other", echo(1, identity=8), PING, None),  # another ping's
    ("other", echo(1, src=A, dst=ROUTER), PING, None),  # another target's
    ("other", echo(1, src=NODE), PING, None),  # masqueraded, where nothing should
    ("request.n", echo(1, src=NODE), MASQUERADED, 1),
    ("error", IP(src=ROUTER, dst=A) / ICMP(type=11) / QUOTE, PING, 1),
    ("error", IP(src=ROUTER, dst=A) / ICMP(type=3, code=4) / QUOTE_UDP, UDP4, 1),
    ("other", IP(src=ROUTER, dst=A) / ICMP(type=3) / QUOTE_UDP, PING, None),  # quotes another flow
    ("request", IP(src=A, dst=B) / UDP(sport=1111, dport=2222) / number(1), UDP4, 1),
    ("reply", IP(src=B, dst=A) / UDP(sport=2222, dport=1111) / number(1), UDP4, 1),
    ("other", IP(src=A, dst=B) / UDP(sport=1111, dport=2223) / number(1), UDP4, None),
    ("request", IPv6(src=A6, dst=B6) / ICMPv6EchoRequest(id=7, seq=1), PING6, 1),
    ("reply", IPv6(src=B6, dst=A6) / ICMPv6EchoReply(id=7, seq=1), PING6, 1),
    ("error", IPv6(src=ROUTER6, dst=A6) / ICMPv6PacketTooBig(mtu=1400) / QUOTE6, PING6, 1),
    ("error", IPv6(src=ROUTER6, dst=A6) / ICMPv6DestUnreach() / QUOTE6, PING6, 1),
    ("request", IPv6(src=A6, dst=B6) / segment(1111, 2222), TCP6, SEGMENT),
    ("reply", IPv6(src=B6, dst=A6) / segment(2222, 1111), TCP6, SEGMENT),
    ("request", IPv6(src=A6, dst=B6) / segment(1111, 2222, b"4"), TCP6, SEGMENT - 2),
    ("other", IP(src=A, dst=B) / TCP(sport=1111, dport=2222), TCP6, None),  # the other family
    ("who-has", ARP(op=1, psrc=A, pdst=B), PING, None),
    ("is-at", ARP(op=2, psrc=B, pdst=A), PING, None),
    ("arp", ARP(op=3), PING, None),
    ("solicitation", IPv6(src=A6, dst="ff02::1:ff00:b") / ICMPv6ND_NS(tgt=B6), PING6, None),
    ("advertisement", IPv6(src=B6, dst=A6) / ICMPv6ND_NA(tgt=B6), PING6, None),
    ("router-solicitation", IPv6(src=A6, dst="ff02::2") / ICMPv6ND_RS(), PING6, None),
    ("fragment", fragment(echo(1) / Raw(bytes(3000)), 1400)[0], PING, None),
    ("fragment", fragment(echo(1) / Raw(bytes(3000)), 1400)[-1], PING, None),
    ("fragment", IPv6(src=A6, dst=B6) / IPv6ExtHdrFragment(m=1) / Raw(bytes(64)), PING6, None),
    ("other", Raw(b"\x10"), PING, None),  # no IP at all
    # Nothing that is sent has a tag or an extension header: with one, it is not what was sent.
    ("other", Dot1Q(vlan=7) / echo(1), PING, None),
    ("other", Dot1Q(vlan=7) / ARP(op=1, psrc=A, pdst=B), PING, None),
    ("other", IPv6(src=A6, dst=B6) / IPv6ExtHdrDestOpt() / segment(1111, 2222), TCP6, None),
    (
        "fragment",
        IPv6(src=A6, dst=B6) / IPv6ExtHdrDestOpt() / IPv6ExtHdrFragment(m=1) / Raw(bytes(64)),
        PING6,
        None,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "packet", "flow", "sent"), FRAMES)
def test_what_a_frame_is_to_a_flow(kind, packet, flow, sent):
    in_flow = kind.partition(".")[0] in ("request", "reply", "error")
    assert look(frame(packet), [flow]) == (kind, (0, sent) if in_flow else None)
    assert classify(frame(packet), [flow]) == kind


def test_a_frame_belongs_to_the_flow_it_matches():
    reply = frame(IP(src=B, dst=A) / UDP(sport=2222, dport=1111) / number(1))
    assert look(reply, [PING, UDP4]) == ("reply", (1, 1))
    assert look(reply, []) == ("other", None)


# -------------------------------------------------------------------------------------- the legs


def legs(numbers, sent, **options):
    flow = Flow(Family.ipv4, 1, A, B, 7, 7, sent)
    return legs_of([frame(echo(n), **options) for n in numbers], [flow])


@pytest.mark.parametrize(
    ("seen", "remark"),
    [
        ([1, 2, 3], ""),
        ([1, 3], "2 of 3"),
        ([1, 2, 2, 3], "1 more than once"),
        ([1, 1, 1, 2], "2 of 3, 2 more than once"),
        ([2, 1, 3], "out of order"),
    ],
)
def test_each_packet_once_and_in_order(seen, remark):
    assert legs(seen, [1, 2, 3]).legs == {("pod1:eth0", ">", "request"): remark}


def test_a_leg_of_one_flow_of_two_is_not_a_leg_of_both():
    flows = [Flow(Family.ipv4, 1, A, B, 7, 7, [1]), Flow(Family.ipv4, 1, A, B, 8, 8, [1])]
    both = [frame(echo(1, identity=identity)) for identity in (7, 8)]
    assert legs_of(both, flows) == "pod1:eth0 > request"
    assert legs_of(both[:1], flows).legs == {("pod1:eth0", ">", "request"): "1 of 2"}
    assert legs_of(both[::-1], flows).legs == {("pod1:eth0", ">", "request"): "out of order"}


def sent(*payloads, **options):
    packet = IPv6(src=A6, dst=B6)
    return [frame(packet / segment(1111, 2222, payload), **options) for payload in payloads]


@pytest.mark.parametrize(
    ("arrived", "remark"),
    [
        ((b"1", b"22", b"22", b"333"), ""),  # what was sent twice arrives twice
        ((b"1", b"22", b"22"), "3 of 4"),
        ((b"1", b"22", b"22", b"22", b"333"), "1 more than once"),
        ((b"1", b"22", b"333", b"22"), "out of order"),
    ],
)
def test_tcp_segments_are_those_of_the_first_tap(arrived, remark):
    frames = sent(b"1", b"22", b"22", b"333") + sent(*arrived, interface="b:y", direction="in")
    legs = legs_of(frames, [TCP6]).legs
    assert legs == {("pod1:eth0", ">", "request"): "", ("b:y", "<", "request"): remark}


def test_errors_without_a_number_are_counted_all_the_same():
    flow = Flow(Family.ipv4, 17, A, B, 1111, 2222, [1, 2])
    quote = IPerror(src=A, dst=B) / UDPerror(sport=1111, dport=2222)
    about = IP(src=ROUTER, dst=A) / ICMP(type=11) / quote
    leg = ("pod1:eth0", ">", "error")
    assert [legs_of([frame(about)] * n, [flow]).legs[leg] for n in (1, 2, 7)] == [
        "1 of 2", "", "7 of 2",
    ]  # fmt: skip


def test_an_error_that_quotes_too_little_of_a_segment_has_no_number():
    quote = IPv6(src=A6, dst=B6, nh=6) / Raw(bytes(TCP(sport=1111, dport=2222))[:8])
    error = IPv6(src=ROUTER6, dst=A6) / ICMPv6TimeExceeded() / quote
    assert look(frame(error), [TCP6]) == ("error", (0, None))
    assert legs_of([frame(error)], [TCP6]) == "pod1:eth0 > error"


def test_frames_outside_every_flow_count_once():
    question = frame(ARP(op=1, psrc=A, pdst=B))
    assert legs_of([question], [PING]) == "pod1:eth0 > who-has"
    assert legs_of([question, question], [PING]).legs == {("pod1:eth0", ">", "who-has"): "2 times"}


def test_rows_stand_in_the_order_asked_for_and_unseen_ones_are_left_out():
    table = legs_of([frame(echo(1), interface="b:y", direction="in")], [PING], ["a:x", "b:y"])
    assert str(table).splitlines() == ["b:y             < request"]
    assert table.interfaces() == ["a:x", "b:y"]


def test_no_frames_are_no_legs():
    assert legs_of([], [PING]) == ""
