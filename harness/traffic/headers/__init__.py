# SPDX-License-Identifier: Apache-2.0
"""The layouts of packet headers, known here and nowhere else.

`decode` reads a frame, `decode_ip` a packet, `decode_icmp` a message. None of them fails, whatever
the bytes: a layer that is cut off or malformed is None, and so is every layer behind it.

What an ICMP error quotes is a `Packet` of its own, with offsets into the same bytes; so is what
VXLAN carries. Another tunnel is one more reader in decode.py.
"""

from harness.traffic.headers.decode import decode, decode_icmp, decode_ip
from harness.traffic.headers.layout import (
    ARP,
    ETHERTYPE_ARP,
    ICMP,
    ICMP_PROTOCOL,
    IP,
    TCP,
    UDP,
    Ethernet,
    Fragment,
    Packet,
    Ports,
)
from harness.traffic.headers.write import (
    but_for_ttl,
    echo_request,
    internet_checksum,
    pseudo_header,
    udp_frame,
)

__all__ = [
    "ARP",
    "ETHERTYPE_ARP",
    "ICMP",
    "ICMP_PROTOCOL",
    "IP",
    "TCP",
    "UDP",
    "Ethernet",
    "Fragment",
    "Packet",
    "Ports",
    "but_for_ttl",
    "decode",
    "decode_icmp",
    "decode_ip",
    "echo_request",
    "internet_checksum",
    "pseudo_header",
    "udp_frame",
]
