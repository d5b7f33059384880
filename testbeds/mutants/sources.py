# SPDX-License-Identifier: Apache-2.0
"""Mutants: whose addresses are taken for a pod's own, and what leaves its link."""

from __future__ import annotations

import socket
import sys

from harness.bpf.source import Patch
from harness.topology import Family
from harness.topology.addressing import pod
from testbeds.mutants import addresses
from testbeds.mutants import targets as t
from testbeds.mutants.mutant import Catch, Mutant, patch

_ARP = "		return answer_arp(skb);\n"
_DISCOVERY = "	if (is_neighbour_discovery(skb, &pkt)) {\n"
_CLONED = "	bpf_clone_redirect(skb, skb->ifindex + 1, 0);\n"
_LOOKUP = "	sender = endpoints{family}.lookup(&pkt.src{family});\n"
_POD = {family: socket.inet_pton(family.af, pod(1, 1)[family]) for family in Family}
_UNIT = {4: ("u32", "u8", 1), 6: ("union address6", "u32", 4)}  # of an address, and of its parts


def _taken_for(family: int, *parts: int) -> Patch:
    """Parts of the source (bytes of IPv4's, words of IPv6's) taken for those of the first pod."""
    address, part, size = _UNIT[family]
    lines = [f"	{address} seen = pkt.src{family};\n"]
    for number in parts:
        own = int.from_bytes(_POD[Family(family)][size * number :][:size], sys.byteorder)
        lines.append(f"	(({part} *)&seen)[{number}] = {own:#x};\n")
    lines.append(f"	sender = endpoints{family}.lookup(&seen);\n")
    return Patch("from_container.c", _LOOKUP.format(family=family), "".join(lines))


def _exempt(ipv4: str, ipv6: str) -> tuple[Patch, ...]:
    """What is so is not checked: where the source is nobody's, the receiver stands in for it."""
    return addresses.checked({
        family: f"	if ({condition}) {{\n{addresses.FALLEN_BACK[family]}\n"
        f"	}} else if (!sender || sender->ifindex != skb->ifindex) {{\n"
        f"		return not_its_own(skb, {addresses.BY_FAMILY[family]}\n	}}"
        for family, condition in ((4, ipv4), (6, ipv6))
    })  # fmt: skip


def _leaks(name: str, *patches: Patch, families: tuple[int, ...] = (4, 6)) -> Mutant:
    return Mutant(name, patches, (Catch(t.SOURCES, "leaked", families=families),))


_PROTOCOLS = {"TCP": "IPPROTO_TCP", "UDP": "IPPROTO_UDP"}

MUTANTS: tuple[Mutant, ...] = (
    *(
        _leaks(f"IPv4 source: byte {byte} not compared", _taken_for(4, byte), families=(4,))
        for byte in range(4)
    ),
    _leaks("IPv4 source: only the last byte compared", _taken_for(4, 0, 1, 2), families=(4,)),
    *(
        _leaks(f"IPv6 source: only the {which} word compared", _taken_for(6, *words), families=(6,))
        for which, words in (("first", (1, 2, 3)), ("last", (0, 1, 2)))
    ),
    *(
        _leaks(f"IPv6 source: word {word} not compared", _taken_for(6, word), families=(6,))
        for word in range(4)
    ),
    *(
        _leaks(
            f"source of {name} not checked",
            *_exempt(f"pkt.protocol == {number}", f"pkt.protocol == {number}"),
        )
        for name, number in _PROTOCOLS.items()
    ),
    _leaks(
        "source of pings not checked",
        *_exempt("pkt.protocol == IPPROTO_ICMP", "pkt.protocol == IPPROTO_ICMPV6"),
    ),
    _leaks(
        "source of neighbour discovery not checked",
        Patch("from_container.c", "		if (!unrouted && (", "		if (0 && ("),
        families=(6,),
    ),
    _leaks(
        "source not checked on the way to the world",
        *_exempt("pkt.dst4 == bpf_htonl(0xc6336401)", "pkt.dst6.words[0] == bpf_htonl(0x20010db8)"),
    ),
    _leaks(
        "source not checked on the way to a pod of this node",
        *_exempt("endpoints4.lookup(&pkt.dst4)", "endpoints6.lookup(&pkt.dst6)"),
    ),
    _leaks("another pod's source passed", *_exempt("sender", "sender")),
    Mutant(
        "every datagram taken for spoofed",
        addresses.checked(
            {
                family: "	if (pkt.protocol == IPPROTO_UDP)\n"
                "		return not_its_own(skb, false);\n" + addresses.CHECK + rest
                for family, rest in addresses.BY_FAMILY.items()
            }
        ),
        (Catch(t.SOURCES, "drops"),),
    ),
    Mutant(
        "ARP and advertisements of a pod passed to the next",
        (
            Patch("from_container.c", _ARP, _CLONED + _ARP),
            Patch("from_container.c", _DISCOVERY, _DISCOVERY + "	" + _CLONED),
        ),
        (Catch(t.CLAIMED, "leaked"),),
    ),
    Mutant(
        "the gateway's source delivered from the wire",
        patch(
            "from_netdev.c",
            "	sender = endpoints4.lookup(&pkt.src4);\n	if (sender && sender->flags & ",
            "	sender = endpoints4.lookup(&pkt.src4);\n	if (0 && sender->flags & ",
        ),
        (
            Catch(
                t.D2 + "test_hr45_host_source_from_the_wire_is_not_delivered",
                "arrived",
                families=(4,),
            ),
        ),
    ),
    Mutant(
        "unspecified and multicast sources delivered from the wire",
        (
            Patch(
                "from_netdev.c",
                "link_scope6(&pkt.src6) || unspecified6(&pkt.src6))",
                "(link_scope6(&pkt.src6) && pkt.src6.bytes[0] == 0xfe))",
            ),
            Patch("from_netdev.c", "link_scope4(pkt.src4))", "(pkt.src4 & 0xff) == 127)"),
        ),
        (Catch(t.D2 + "test_hr45_host_source_from_the_wire_is_not_delivered", "arrived"),),
    ),
    *(
        Mutant(
            f"IPv4's link scope: {name} sent out of the NIC",
            patch(
                "from_container.c",
                "	if (link_scope4(pkt.dst4) ||",
                f"	if ((pkt.dst4 & 0xff) == {first}) {{\n"
                "		u32 zero = 0; struct node_config *node = config.lookup(&zero);\n"
                "		if (node) return bpf_redirect(node->nic_ifindex, 0); }\n"
                "	if (link_scope4(pkt.dst4) ||",
            ),
            (Catch(t.LINK_SCOPE, "out", families=(4,)),),
        )
        for name, first in (("this network", 0), ("loopback", 127), ("multicast", 239))
    ),
    Mutant(
        "IPv4's link scope dropped where Linux routes it",
        patch(
            "from_container.c",
            "	if (link_scope4(pkt.dst4) ||",
            "	if (link_scope4(pkt.dst4))\n		return TC_ACT_SHOT;\n	if (",
        ),
        (Catch(t.LINK_SCOPE, "out", families=(4,)),),
    ),
)
