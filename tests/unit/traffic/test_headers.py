# SPDX-License-Identifier: Apache-2.0
"""Headers, decoded and written: scapy, which knows them by itself, has the last word."""

import random

import pytest
from scapy.layers import inet, l2
from scapy.layers.inet import IPOption_Router_Alert, fragment
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    RouterAlert,
)
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw
from scapy.utils import checksum

from harness.topology import Family
from harness.traffic.headers import (
    ARP,
    ICMP,
    IP,
    TCP,
    UDP,
    Ethernet,
    Fragment,
    Packet,
    Ports,
    but_for_ttl,
    decode,
    decode_icmp,
    decode_ip,
    echo_request,
    internet_checksum,
    udp_frame,
)

A, B, A6, B6 = "10.0.1.10", "10.0.1.11", "fd00::a", "fd00::b"
MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")
ETHER = Ether(src=MACS[0], dst=MACS[1])
V4, V6 = inet.IP(src=A, dst=B, ttl=63), IPv6(src=A6, dst=B6, hlim=62)
UDP4 = V4 / inet.UDP(sport=1111, dport=2222) / Raw(b"payload")
TCP6 = V6 / inet.TCP(sport=1111, dport=2222, seq=5, ack=6, flags="PA", window=7) / Raw(b"payload")
QUOTED = inet.IP(src=A, dst=B) / inet.ICMP(id=7, seq=1)
TOO_BIG = inet.IP(src=B, dst=A) / inet.ICMP(type=3, code=4, nexthopmtu=1400) / QUOTED
TOO_BIG6 = V6 / ICMPv6PacketTooBig(mtu=70000) / IPv6(src=B6, dst=A6) / ICMPv6EchoRequest(id=7)
OPTIONS6 = V6 / IPv6ExtHdrHopByHop(options=[RouterAlert()]) / IPv6ExtHdrDestOpt()
SAMPLES = {
    "udp": UDP4,
    "tcp over ipv6": TCP6,
    "icmp error": TOO_BIG,
    "icmpv6 error": TOO_BIG6,
    "arp": l2.ARP(op=1, psrc=A, pdst=B),
    "neighbour solicitation": IPv6(src=A6, dst="ff02::1:ff00:b") / ICMPv6ND_NS(tgt=B6),
    "tagged twice": Dot1Q(vlan=7) / Dot1Q(vlan=4000) / UDP4,
    "ipv4 options": inet.IP(src=A, dst=B, options=[IPOption_Router_Alert()]) / inet.UDP(),
    "extension headers": OPTIONS6 / inet.UDP(sport=1, dport=2) / Raw(b"payload"),
    "ipv6 fragment": V6 / IPv6ExtHdrFragment(m=1, offset=0) / inet.UDP() / Raw(bytes(64)),
}


def raw(packet):
    return bytes(ETHER / packet)


def find(packet):
    """What is decoded of a scapy packet in a frame, and its bytes."""
    whole = raw(packet)
    return decode(whole), whole


# ------------------------------------------------------------------------------------ every layer


def test_ethernet_udp():
    packet, whole = find(UDP4)
    assert packet.ethernet == Ethernet(MACS[1], MACS[0], 0x0800, ())
    assert packet.ip == IP(Family.ipv4, A, B, 17, 63, len(whole) - 14)
    assert packet.transport == UDP(1111, 2222, 15, Ether(whole)[inet.UDP].chksum)
    assert (packet.network_at, packet.transport_at, packet.payload_at) == (14, 34, 42)
    assert packet.payload(whole) == b"payload"


def test_tcp_over_ipv6():
    packet, whole = find(TCP6)
    assert packet.ip == IP(Family.ipv6, A6, B6, 6, 62, len(whole) - 54)
    assert packet.transport == TCP(1111, 2222, 5, 6, 0x5018, 7, Ether(whole)[inet.TCP].chksum)
    assert packet.payload(whole) == b"payload"


def test_tcp_options_are_no_payload():
    packet, whole = find(V4 / inet.TCP(options=[("MSS", 1460), ("NOP", None)]) / Raw(b"payload"))
    assert packet.payload(whole) == b"payload"


def test_padding_is_no_payload():
    _, whole = find(UDP4)
    assert decode(whole + b"padding").payload(whole + b"padding") == b"payload"


def test_arp():
    packet, _ = find(l2.ARP(op=2, hwsrc=MACS[0], psrc=A, hwdst=MACS[1], pdst=B))
    assert packet.network == ARP(2, MACS[0], A, MACS[1], B)
    assert (packet.ip, packet.transport) == (None, None)


def test_what_is_no_arp_for_ipv4_over_ethernet():
    assert find(l2.ARP(hwtype=6))[0].network is None


def test_vlan_tags():
    packet, whole = find(SAMPLES["tagged twice"])
    assert packet.ethernet == Ethernet(MACS[1], MACS[0], 0x0800, (7, 4000))
    assert packet.network_at == 22
    assert packet.payload(whole) == b"payload"


def test_ipv4_options_are_passed_over():
    packet, _ = find(SAMPLES["ipv4 options"])
    assert packet.transport_at == 14 + 24
    assert isinstance(packet.transport, UDP)


def test_extension_headers_are_passed_over():
    packet, whole = find(SAMPLES["extension headers"])
    assert packet.ip.protocol == 17
    assert packet.ip.extensions == (0, 60)
    assert packet.payload(whole) == b"payload"


def test_a_packet_beyond_64_kib_ends_with_the_frame():
    """BIG TCP: length 0, and a jumbo payload option (RFC 2675) in a hop-by-hop header."""
    jumbo = bytes.fromhex("0600c20400012000")
    big = IPv6(src=A6, dst=B6, nh=0, plen=0) / Raw(jumbo + bytes(inet.TCP()) + bytes(9000))
    packet, whole = find(big)
    assert (packet.ip.length, packet.ip.extensions, packet.ip.protocol) == (0, (0,), 6)
    assert isinstance(packet.transport, TCP)
    assert packet.end == len(whole)


def test_fragments():
    first, last = (find(part)[0] for part in fragment(UDP4 / Raw(bytes(2000)), 1400))
    assert first.ip.fragment == Fragment(0, more=True)
    assert isinstance(first.transport, UDP)
    assert last.ip.fragment == Fragment(1400, more=False)
    assert last.transport is None
    packet, _ = find(V6 / IPv6ExtHdrFragment(m=1, offset=3, nh=17) / inet.UDP())
    assert packet.ip.fragment == Fragment(24, more=True)
    assert (packet.ip.protocol, packet.ip.extensions) == (17, (44,))
    assert packet.transport is None


def test_neighbour_discovery():
    packet, _ = find(SAMPLES["neighbour solicitation"])
    assert (packet.transport.type, packet.transport.target) == (135, B6)


@pytest.mark.parametrize("name", ["icmp error", "icmpv6 error"])
def test_errors_quote_a_packet(name):
    packet, whole = find(SAMPLES[name])
    error, quote = packet.transport, packet.quote
    assert error.is_error
    assert error.mtu == (1400 if error.family is Family.ipv4 else 70000)
    assert quote.ethernet is None
    assert quote.ip.family is error.family
    assert isinstance(quote.transport, ICMP)
    assert (quote.transport.is_request, quote.transport.identity) == (True, 7)
    assert quote.network_at == packet.payload_at
    assert whole[quote.network_at] >> 4 == error.family


def test_only_an_error_about_the_mtu_names_one():
    assert find(V4 / inet.ICMP(type=11, unused=1400) / QUOTED)[0].transport.mtu == 0


def test_a_quote_of_eight_bytes_has_tcps_ports():
    segment = bytes(inet.TCP(sport=1111, dport=2222))[:8]
    packet, _ = find(V6 / ICMPv6DestUnreach() / IPv6(src=B6, dst=A6, nh=6) / Raw(segment))
    assert packet.quote.transport == Ports(1111, 2222)


def test_the_quote_of_a_quote_is_left_alone():
    """Errors about errors about errors, which no router sends: as deep as a frame is long."""
    error = bytes(inet.IP(src=A, dst=B, len=0, proto=1)) + bytes((11, 0, 0, 0, 0, 0, 0, 0))
    packet = decode(raw(V4)[:14] + error * 2000)
    assert packet.quote.transport.is_error
    assert packet.quote.quote is None


@pytest.mark.parametrize("protocol", [1, 58])
def test_icmp_of_the_other_family_is_not_decoded(protocol):
    other = V6 if protocol == 1 else V4
    packet = other.copy()
    packet.nh = packet.proto = protocol
    assert find(packet / Raw(bytes(64)))[0].transport is None


def test_ip_without_a_link_and_icmp_without_ip():
    packet = decode_ip(bytes(TOO_BIG))
    assert (packet.ethernet, packet.ip.source, packet.network_at) == (None, B, 0)
    message = bytes(TOO_BIG6)[40:]
    alone = decode_icmp(Family.ipv6, message)
    assert (alone.network, alone.transport.mtu) == (None, 70000)
    assert alone.quote.ip == decode_ip(bytes(TOO_BIG6)).quote.ip


# ------------------------------------------------------------------------------------- bad bytes


@pytest.mark.parametrize("name", SAMPLES)
def test_a_frame_cut_anywhere_loses_layers_from_behind_and_nothing_else(name):
    whole = raw(SAMPLES[name])
    for size in range(len(whole)):
        packet = decode(whole[:size])
        there = [
            layer is not None
            for layer in (packet.ethernet, packet.network, packet.transport, packet.quote)
        ]
        assert there == sorted(there, reverse=True)
        assert packet.payload(whole[:size]) in whole


def test_hostile_bytes_never_fail():
    """Every kind of frame with bytes changed at random, and frames of nothing but random bytes."""
    dice = random.Random(14)
    wholes = [raw(packet) for packet in SAMPLES.values()]
    for _ in range(3000):
        hostile = bytearray(dice.choice(wholes))
        for _ in range(dice.randint(1, 8)):
            hostile[dice.randrange(12, len(hostile))] = dice.choice((0, 1, 0x45, 0x60, 255))
        noise = dice.randbytes(dice.randrange(120))
        for frame in (bytes(hostile), noise, noise[:12] + b"\x86\xdd\x60" + noise):
            found = decode(frame)
            assert isinstance(found, Packet)
            found.payload(frame)
            but_for_ttl(frame, found)
        assert isinstance(decode_ip(noise), Packet)
        assert isinstance(decode_icmp(dice.choice(list(Family)), noise), Packet)


@pytest.mark.parametrize(
    "chain",
    [bytes.fromhex("8100 0007") * 16_000, bytes.fromhex("3c00 0000 0000 0000") * 8_000],
    ids=["tags", "extension headers"],
)
def test_a_chain_that_never_ends_ends_with_the_bytes(chain):
    start = raw(V6)[:14] if chain[0] == 0x3C else raw(V6)[:12]
    header = bytes(IPv6(src=A6, dst=B6, nh=60)) if chain[0] == 0x3C else b""
    assert decode(start + header + chain).transport is None


@pytest.mark.parametrize("fault", [{"len": 19}, {"ihl": 4}, {"version": 5}, {"ihl": 15}])
def test_malformed_ipv4(fault):
    packet = inet.IP(src=A, dst=B, **fault) / inet.UDP()
    assert find(packet)[0].transport is None


def test_a_length_beyond_the_frame_is_kept_as_it_is():
    packet, whole = find(inet.IP(src=A, dst=B, len=500) / inet.UDP() / Raw(b"payload"))
    assert packet.end == 14 + 500
    assert packet.payload(whole) == b"payload"


# ------------------------------------------------------------------------------------ written ones


@pytest.mark.parametrize("size", [0, 1, 64, 65, 1400])
def test_checksums_are_those_of_scapy(size):
    content = random.Random(size).randbytes(size)
    assert internet_checksum(content) == checksum(content)


@pytest.mark.parametrize("size", [0, 1, 64, 1400])
@pytest.mark.parametrize("version", [4, 6])
def test_a_udp_frame_is_the_one_that_scapy_makes(version, size):
    family = Family(version)
    ends = (A, B) if family is Family.ipv4 else (A6, B6)
    ip = (
        inet.IP(src=ends[0], dst=ends[1], ttl=255, id=0)
        if family is Family.ipv4
        else IPv6(src=ends[0], dst=ends[1], hlim=255)
    )
    expected = bytes(ETHER / ip / inet.UDP(sport=1, dport=2) / bytes(size))
    assert udp_frame(family, MACS, ends, size, ttl=255) == expected


def test_an_echo_request_is_the_one_that_scapy_makes():
    expected = bytes(inet.ICMP(id=7, seq=9) / b"odd")
    assert echo_request(Family.ipv4, 7, 0x10009, b"odd") == expected
    expected6 = bytearray(bytes(V6 / ICMPv6EchoRequest(id=7, seq=9) / b"odd")[40:])
    expected6[2:4] = b"\0\0"  # the kernel's to sum
    assert echo_request(Family.ipv6, 7, 9, b"odd") == bytes(expected6)
