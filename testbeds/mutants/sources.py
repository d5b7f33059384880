# SPDX-License-Identifier: Apache-2.0
"""Mutants: whose addresses are taken for a pod's own, and what leaves its link."""

from __future__ import annotations

from harness.bpf.source import Patch
from testbeds.mutants import targets as t
from testbeds.mutants.mutant import Catch, Mutant, patch

_CHECK4 = "	if (pkt.src4 != pod->ip4)\n"
_CHECK6 = "	own = same_address6(&pkt.src6, &pod->ip6);\n"
_ARP = "		return answer_arp(skb, pod);\n"


def _check4(condition: str) -> Patch:
    return Patch("from_container.c", _CHECK4, f"	if ({condition})\n")


def _own6(condition: str) -> Patch:
    return Patch("from_container.c", _CHECK6, f"	own = {condition};\n")


def _leaks(name: str, *patches: Patch, families: tuple[int, ...] = (4, 6)) -> Mutant:
    return Mutant(name, patches, (Catch(t.SOURCES, "leaked", families=families),))


_PROTOCOLS = {"TCP": "IPPROTO_TCP", "UDP": "IPPROTO_UDP"}

MUTANTS: tuple[Mutant, ...] = (
    *(
        _leaks(
            f"IPv4 source: byte {byte} not compared",
            _check4(f"(pkt.src4 ^ pod->ip4) & ~bpf_htonl({0xFF << 8 * (3 - byte):#x})"),
            families=(4,),
        )
        for byte in range(4)
    ),
    _leaks(
        "IPv4 source: only the last byte compared",
        _check4("(pkt.src4 ^ pod->ip4) & bpf_htonl(0xff)"),
        families=(4,),
    ),
    *(
        _leaks(
            f"IPv6 source: only the {which} word compared",
            _own6(f"pkt.src6.words[{word}] == pod->ip6.words[{word}]"),
            families=(6,),
        )
        for which, word in (("first", 0), ("last", 3))
    ),
    *(
        _leaks(
            f"IPv6 source: word {word} not compared",
            Patch("parse.h", f"a->words[{word}] == b->words[{word}]", "1"),
            families=(6,),
        )
        for word in range(4)
    ),
    *(
        _leaks(
            f"source of {name} not checked",
            _check4(f"pkt.protocol != {number} && pkt.src4 != pod->ip4"),
            _own6(f"pkt.protocol == {number} || same_address6(&pkt.src6, &pod->ip6)"),
        )
        for name, number in _PROTOCOLS.items()
    ),
    _leaks(
        "source of pings not checked",
        _check4("pkt.protocol != IPPROTO_ICMP && pkt.src4 != pod->ip4"),
        _own6("pkt.protocol == IPPROTO_ICMPV6 || same_address6(&pkt.src6, &pod->ip6)"),
    ),
    _leaks(
        "source of neighbour discovery not checked",
        Patch("from_container.c", "	if (!own && !(", "	if (!own && !discovery && !("),
        families=(6,),
    ),
    _leaks(
        "source not checked on the way to the world",
        _check4("pkt.src4 != pod->ip4 && pkt.dst4 != bpf_htonl(0xc6336401)"),
        _own6("pkt.dst6.words[0] == bpf_htonl(0x20010db8) || same_address6(&pkt.src6, &pod->ip6)"),
    ),
    _leaks(
        "source not checked on the way to a pod of this node",
        _check4("pkt.src4 != pod->ip4 && !endpoints4.lookup(&pkt.dst4)"),
        _own6("endpoints6.lookup(&pkt.dst6) || same_address6(&pkt.src6, &pod->ip6)"),
    ),
    _leaks(
        "another pod's source passed",
        _check4("pkt.src4 != pod->ip4 && !endpoints4.lookup(&pkt.src4)"),
        _own6("endpoints6.lookup(&pkt.src6) || same_address6(&pkt.src6, &pod->ip6)"),
    ),
    Mutant(
        "every datagram taken for spoofed",
        (
            _check4("pkt.protocol != IPPROTO_UDP || pkt.src4 != pod->ip4"),
            _own6("pkt.protocol == IPPROTO_UDP && same_address6(&pkt.src6, &pod->ip6)"),
        ),
        (Catch(t.SOURCES, "drops"),),
    ),
    Mutant(
        "ARP and advertisements of a pod passed to the next",
        (
            Patch(
                "from_container.c",
                _ARP,
                "		bpf_clone_redirect(skb, skb->ifindex + 1, 0);\n" + _ARP,
            ),
            Patch(
                "from_container.c",
                "	if (discovery)\n",
                "	if (discovery)\n		bpf_clone_redirect(skb, skb->ifindex + 1, 0);\n"
                "	if (discovery)\n",
            ),
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
