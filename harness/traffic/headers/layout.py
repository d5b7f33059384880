# SPDX-License-Identifier: Apache-2.0
"""What headers look like: their fields on the wire, and as values.

Named tuples, as making one takes a third of a frozen dataclass's time, and a test may see 10,000
frames with four headers each.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

from harness.topology import Family

ETHERTYPE_ARP = 0x0806
ETHERTYPE = {Family.ipv4: 0x0800, Family.ipv6: 0x86DD}
ICMP_PROTOCOL = {Family.ipv4: socket.IPPROTO_ICMP, Family.ipv6: socket.IPPROTO_ICMPV6}
ICMP_ECHO = {Family.ipv4: 8, Family.ipv6: 128}
ICMP_ECHO_REPLY = {Family.ipv4: 0, Family.ipv6: 129}

#: (type, code) of the errors that name the next hop's MTU (RFC 1191, RFC 4443).
_TOO_BIG = {Family.ipv4: (3, 4), Family.ipv6: (2, 0)}
_ERRORS4 = {3, 4, 5, 11, 12}  # RFC 1122, 3.2.2; of ICMPv6 it is every type below 128

IPV4_LAYOUT = struct.Struct("!BBHHHBBH4s4s")
IPV6_LAYOUT = struct.Struct("!IHBB16s16s")
UDP_LAYOUT = struct.Struct("!HHHH")
TCP_LAYOUT = struct.Struct("!HHIIHHHH")
ICMP_LAYOUT = struct.Struct("!BBHI")
VXLAN_LAYOUT = struct.Struct("!BxxxI")
#: UDP ports of VXLAN: IANA's, and the one that Linux takes where none is named.
VXLAN_PORTS = {4789, 8472}
ARP_LAYOUT = struct.Struct("!HHBBH6s4s6s4s")


class Ethernet(NamedTuple):
    """A frame's header.

    Attributes:
        destination: MAC.
        source: MAC.
        ethertype: Of what stands behind the tags.
        tags: VLAN ids, the outermost first.
    """

    destination: str
    source: str
    ethertype: int
    tags: tuple[int, ...]


class ARP(NamedTuple):
    """A question or an answer about an IPv4 address; `operation` 1 asks, 2 answers."""

    operation: int
    sender_mac: str
    sender: str
    target_mac: str
    target: str


class Fragment(NamedTuple):
    """One part of a packet.

    Attributes:
        offset: Where it belongs, bytes.
        more: Whether others follow.
    """

    offset: int
    more: bool


class IP(NamedTuple):
    """An IPv4 or IPv6 header, with IPv6's extension headers.

    Attributes:
        family: Which.
        source: Address.
        destination: Address.
        protocol: What stands behind the extension headers.
        ttl: TTL or hop limit.
        length: The length field as it is: with the header (IPv4), or of all behind it (IPv6). 0 in
            packets beyond 64 KiB.
        fragment: Its part, if it is a fragment.
        extensions: Numbers of the extension headers, in order.
    """

    family: Family
    source: str
    destination: str
    protocol: int
    ttl: int
    length: int
    fragment: Fragment | None = None
    extensions: tuple[int, ...] = ()


class Ports(NamedTuple):
    """The ports, all that a quote may hold of TCP."""

    source: int
    destination: int


class UDP(NamedTuple):
    """A datagram's header."""

    source: int
    destination: int
    length: int
    checksum: int


class TCP(NamedTuple):
    """A segment's header; `flags` are the 16 bits that begin with the header's length."""

    source: int
    destination: int
    sequence: int
    acknowledgement: int
    flags: int
    window: int
    checksum: int


class ICMP(NamedTuple):
    """The first eight bytes of an ICMP or ICMPv6 message.

    Attributes:
        family: Which.
        type: Its type.
        code: Its code.
        checksum: Its checksum.
        rest: The second four bytes, whose meaning depends on the type.
        target: The address that a neighbour solicitation or advertisement is about.
    """

    family: Family
    type: int
    code: int
    checksum: int
    rest: int
    target: str = ""

    @property
    def is_request(self) -> bool:
        """Whether it is an echo request."""
        return self.type == ICMP_ECHO[self.family]

    @property
    def is_reply(self) -> bool:
        """Whether it is an echo reply."""
        return self.type == ICMP_ECHO_REPLY[self.family]

    @property
    def is_error(self) -> bool:
        """Whether it is an error, which quotes a packet."""
        return self.type in _ERRORS4 if self.family is Family.ipv4 else self.type < 128

    @property
    def identity(self) -> int:
        """An echo's id."""
        return self.rest >> 16

    @property
    def number(self) -> int:
        """An echo's sequence number."""
        return self.rest & 0xFFFF

    @property
    def mtu(self) -> int:
        """The MTU that a frag-needed or packet-too-big names; 0 in others."""
        if (self.type, self.code) != _TOO_BIG[self.family]:
            return 0
        return self.number if self.family is Family.ipv4 else self.rest


Transport = UDP | TCP | Ports | ICMP


class Packet(NamedTuple):
    """The headers found in some bytes, the outermost first, and where each begins.

    Attributes:
        ethernet: The link's; None in a packet or a quote.
        network: IP or ARP.
        transport: What IP carries; None in later fragments.
        network_at: Offset of the network header.
        transport_at: Offset of what IP carries, behind options and extension headers.
        payload_at: Offset of what the transport carries.
        end: Where the packet ends by its own length. Beyond the bytes, if those were cut off.
        quote: What an ICMP error quotes. Its own quote is not decoded.
        inner: The frame that a VXLAN packet carries. What that carries in turn is not decoded.
        vni: That tunnel's number.
    """

    ethernet: Ethernet | None
    network: IP | ARP | None
    transport: Transport | None
    network_at: int
    transport_at: int
    payload_at: int
    end: int
    quote: Packet | None = None
    inner: Packet | None = None
    vni: int = 0

    @property
    def ip(self) -> IP | None:
        """The network header, if it is IP's."""
        return self.network if isinstance(self.network, IP) else None

    def payload(self, raw: bytes) -> bytes:
        """What the transport carries, as much as there is."""
        return raw[self.payload_at : self.end]
