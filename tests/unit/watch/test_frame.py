# SPDX-License-Identifier: Apache-2.0
"""A captured frame: its fields, its checksums, and reading it from a pcap file."""

import struct

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw
from scapy.utils import checksum

from harness.plumbing.errors import CaptureError
from harness.watch.capture import Frame
from harness.watch.capture.frame import read_pcap

ETHER = Ether(src="02:00:03:00:00:01", dst="02:00:02:00:00:01")
V4, V6 = IP(src="10.0.1.10", dst="10.0.1.11", ttl=63), IPv6(src="fd00::a", dst="fd00::b", hlim=62)
PACKETS = {
    "ICMP": V4 / ICMP(id=1, seq=1) / Raw(b"odd"),
    "UDP": V4 / UDP(sport=1, dport=2) / Raw(b"odd"),
    "TCP": V4 / TCP(sport=1, dport=2) / Raw(b"even"),
    "ICMPv6": V6 / ICMPv6EchoRequest() / Raw(b"odd"),
    "UDP over IPv6": V6 / UDP(sport=1, dport=2) / Raw(b"odd"),
    "TCP over IPv6": V6 / TCP(sport=1, dport=2),
}
#: Where the checksum is, from the frame's start.
WHERE = {"ICMP": 36, "UDP": 40, "TCP": 50, "ICMPv6": 56, "UDP over IPv6": 60, "TCP over IPv6": 70}


def frame(raw, length=0):
    return Frame("pod1:eth0", "in", 1, bytes(raw), length or len(bytes(raw)))


def with_checksum(raw, offset, value):
    return raw[:offset] + value.to_bytes(2, "big") + raw[offset + 2 :]


@pytest.mark.parametrize("name", PACKETS)
def test_a_right_checksum(name):
    assert frame(ETHER / PACKETS[name]).checksum_faults() == []


@pytest.mark.parametrize("name", PACKETS)
def test_a_wrong_checksum_is_named(name):
    raw = bytes(ETHER / PACKETS[name])
    held = int.from_bytes(raw[WHERE[name] : WHERE[name] + 2], "big")
    wrong = with_checksum(raw, WHERE[name], held ^ 0x0100)
    assert frame(wrong).checksum_faults() == [name.split()[0]]


@pytest.mark.parametrize("name", [name for name in PACKETS if "ICMP" not in name])
def test_a_checksum_left_to_the_nic_is_right_when_its_pseudo_header_is(name):
    raw = bytes(ETHER / PACKETS[name])
    ipv6 = "IPv6" in name
    start = 54 if ipv6 else 34
    addresses = raw[22:54] if ipv6 else raw[26:34]
    protocol = raw[20] if ipv6 else raw[23]
    pseudo = addresses + struct.pack("!IHBB", len(raw) - start, 0, 0, protocol)
    partial = checksum(pseudo) ^ 0xFFFF
    assert frame(with_checksum(raw, WHERE[name], partial)).checksum_faults() == []
    assert frame(with_checksum(raw, WHERE[name], partial ^ 1)).checksum_faults() == [
        name.split()[0]
    ]


def test_a_wrong_ip_header_checksum_is_named_beside_the_payloads():
    raw = bytes(ETHER / PACKETS["UDP"])
    worn = raw[:22] + b"\x3e" + raw[23:]  # the TTL changed and nothing else
    assert frame(worn).checksum_faults() == ["IPv4 header"]
    assert frame(with_checksum(worn, 40, 1)).checksum_faults() == ["IPv4 header", "UDP"]


def test_udp_over_ipv4_may_go_without():
    raw = bytes(ETHER / PACKETS["UDP"])
    assert frame(with_checksum(raw, 40, 0)).checksum_faults() == []
    raw6 = bytes(ETHER / PACKETS["UDP over IPv6"])
    assert frame(with_checksum(raw6, 60, 0)).checksum_faults() == ["UDP"]


def test_padding_is_not_summed():
    assert frame(bytes(ETHER / PACKETS["ICMP"]) + b"padding").checksum_faults() == []


def test_a_cut_frame_proves_nothing():
    raw = bytes(ETHER / PACKETS["UDP"])
    assert frame(raw, 1500).checksum_faults() == [f"only {len(raw)} of 1500 bytes captured"]


def test_fragments_and_other_frames_have_no_checksum_of_their_own():
    parts = fragment(V4 / UDP() / Raw(bytes(3000)), 1400)
    assert [frame(ETHER / part).checksum_faults() for part in parts] == [[]] * len(parts)
    assert frame(ETHER / ARP()).checksum_faults() == []
    assert frame(ETHER / IP(proto=99) / Raw(b"x")).checksum_faults() == []


@pytest.mark.parametrize(
    ("packet", "ttl", "ethertype"),
    [(PACKETS["UDP"], 63, 0x0800), (PACKETS["ICMPv6"], 62, 0x86DD), (ARP(), 0, 0x0806)],
)
def test_fields(packet, ttl, ethertype):
    seen = frame(ETHER / packet)
    assert (seen.ttl, seen.ethertype) == (ttl, ethertype)
    assert (seen.source_mac, seen.destination_mac) == ("02:00:03:00:00:01", "02:00:02:00:00:01")
    assert bytes(seen.packet) == seen.raw
    assert str(seen).startswith("pod1:eth0 < Ether / ")


@pytest.mark.parametrize(("nano", "nanoseconds"), [(True, 123_456_789), (False, 123_456_000)])
def test_frames_come_from_a_pcap_in_order_with_their_times(tmp_path, nano, nanoseconds):
    path = tmp_path / "x.pcap"
    # pcap-savefile(5): magic, version 2.4, zone, accuracy, snap length, LINKTYPE_ETHERNET.
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    content = struct.pack("=IHHiIII", magic, 2, 4, 0, 0, 2048, 1)
    for number, packet in enumerate(PACKETS.values()):
        raw = bytes(ETHER / packet)
        fraction = 123_456_789 if nano else 123_456
        content += struct.pack("=IIII", number, fraction, len(raw), len(raw) + 5) + raw
    path.write_bytes(content)
    frames = list(read_pcap(path, "a:b", "out"))
    assert [f.time for f in frames] == [n * 10**9 + nanoseconds for n in range(len(PACKETS))]
    assert [f.raw for f in frames] == [bytes(ETHER / packet) for packet in PACKETS.values()]
    assert {(f.interface, f.direction, f.length - len(f.raw)) for f in frames} == {
        ("a:b", "out", 5)
    }


def test_a_record_that_is_cut_off_ends_the_file(tmp_path):
    path = tmp_path / "x.pcap"
    raw = bytes(ETHER / PACKETS["UDP"])
    record = struct.pack("=IIII", 1, 2, len(raw), len(raw)) + raw
    header = struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 2048, 1)
    for cut in (1, len(raw), len(raw) + 1, len(record) - 1):
        path.write_bytes(header + record + record[:-cut])
        assert [f.raw for f in read_pcap(path, "a:b", "out")] == [raw]


@pytest.mark.parametrize("content", [b"", b"\n\r\r\n" + bytes(40), b"\xd4\xc3\xb2\xa1"])
def test_what_is_no_pcap_file_is_refused(tmp_path, content):
    path = tmp_path / "x.pcap"
    path.write_bytes(content)
    with pytest.raises(CaptureError, match=r"x\.pcap is not a pcap file"):
        list(read_pcap(path, "a:b", "out"))
