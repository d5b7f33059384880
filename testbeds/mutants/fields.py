# SPDX-License-Identifier: Apache-2.0
"""Mutants: a field that a router passes on is changed, or decides what becomes of a packet."""

from __future__ import annotations

from harness.bpf.source import Patch
from testbeds.mutants import targets as t
from testbeds.mutants.mutant import Catch, Mutant, patch

_TTL4 = "		ip->ttl -= 1;\n"
_TTL6 = "		ip->hop_limit -= 1;\n"
_EXPIRED = "	if (pkt->ttl <= 1)\n		return TTL_EXPIRED;\n	/* redirect_peer"


def _word(word: int, change: str) -> Patch:
    """Change the 16 bits of IPv4's header at `word`, called `half`, and set the sum right."""
    return Patch(
        "rewrite.c",
        _TTL4,
        _TTL4 + f"		{{ u16 *half = (u16 *)ip + {word}, was = *half; u32 sum;\n"
        f"		{change};\n"
        "		sum = (u16)~ip->check + (u16)~was + *half;\n"
        "		sum = (sum & 0xffff) + (sum >> 16);\n"
        "		sum = (sum & 0xffff) + (sum >> 16);\n"
        "		ip->check = ~sum; }\n",
    )


def _byte6(byte: int, change: str) -> Patch:
    """Change a byte of IPv6's header, called `*octet`."""
    return Patch(
        "rewrite.c", _TTL6, _TTL6 + f"		{{ u8 *octet = (u8 *)ip + {byte}; {change}; }}\n"
    )


def _changed(name: str, *patches: Patch, families: tuple[int, ...] = (4, 6)) -> Mutant:
    return Mutant(name, patches, (Catch(t.FIELDS, "all but the TTL", families=families),))


MUTANTS: tuple[Mutant, ...] = (
    _changed("ECN cleared", _word(0, "*half &= ~bpf_htons(0x0003)"), _byte6(1, "*octet &= ~0x30")),
    _changed(
        "congestion marked (ECN 3)",
        _word(0, "*half |= bpf_htons(0x0003)"),
        _byte6(1, "*octet |= 0x30"),
    ),
    _changed(
        "DSCP cleared",
        _word(0, "*half &= ~bpf_htons(0x00fc)"),
        _byte6(0, "*octet &= ~0x0f"),
    ),
    _changed("flow label cleared", _byte6(3, "*octet = 0"), families=(6,)),
    _changed("IPv4 id changed", _word(2, "*half += 1"), families=(4,)),
    _changed("DF cleared", _word(3, "*half &= ~bpf_htons(0x4000)"), families=(4,)),
    _changed("DF set", _word(3, "*half |= bpf_htons(0x4000)"), families=(4,)),
    _changed(
        "IPv4 checksum 0xffff where it is 0",
        Patch("rewrite.c", "check + (check >= 0xffff);", "check + (check > 0xffff);"),
        families=(4,),
    ),
    _changed(
        "UDP checksum of 0 filled in",
        Patch(
            "rewrite.c",
            _TTL4,
            _TTL4 + "		if (ip->protocol == IPPROTO_UDP) { u16 sum = 1;\n"
            "		bpf_skb_store_bytes(skb, L3_OFFSET + 26, &sum, 2, 0); return 0; }\n",
        ),
        families=(4,),
    ),
    _changed(
        "TTL off by one only for UDP",
        Patch(
            "rewrite.c",
            _TTL4,
            "		ip->ttl -= 1;\n"
            "		if (ip->protocol == IPPROTO_UDP) {\n"
            "			ip->check += bpf_htons(0x0100); ip->ttl -= 1; }\n",
        ),
        Patch("rewrite.c", _TTL6, _TTL6 + "		ip->hop_limit -= ip->nexthdr == IPPROTO_UDP;\n"),
    ),
    _changed(
        "last byte of an odd packet lost",
        Patch(
            "local_delivery.c",
            "	if (decrement_ttl(skb, pkt) ||",
            "	if (skb->len & 1) { u8 none = 0;\n"
            "		bpf_skb_store_bytes(skb, skb->len - 1, &none, 1, 0); }\n"
            "	if (decrement_ttl(skb, pkt) ||",
        ),
    ),
    Mutant(
        "TTL 255 dropped",
        patch(
            "local_delivery.c",
            _EXPIRED,
            "	if (pkt->ttl >= 254)\n		return drop(program, DROP_TTL);\n" + _EXPIRED,
        ),
        (Catch(t.FIELDS, "arrived"),),
    ),
    Mutant(
        "TTL 2 taken for used up",
        patch("local_delivery.c", _EXPIRED, _EXPIRED.replace("<= 1", "<= 2")),
        (Catch(t.FIELDS, "arrived"),),
    ),
    Mutant(
        "TTL above 127 taken for used up",
        patch("local_delivery.c", _EXPIRED, _EXPIRED.replace("pkt->ttl <= 1", "(s8)pkt->ttl <= 1")),
        (Catch(t.FIELDS, "arrived"),),
    ),
    Mutant(
        "TTL 0 taken for many",
        (Patch("local_delivery.c", _EXPIRED, _EXPIRED.replace("<= 1", "== 1")),),
        (Catch(t.ERRORS, "answered"), Catch(t.ERRORS_FAR, "answered")),
    ),
    Mutant(
        "mark cleared",
        (
            Patch("rewrite.c", _TTL4, _TTL4 + "		skb->mark = 0;\n"),
            Patch("rewrite.c", _TTL6, _TTL6 + "		skb->mark = 0;\n"),
        ),
        (Catch(t.BORDER_FAR, "mark"), Catch(t.BORDER + t.METADATA, "mark")),
    ),
    Mutant(
        "priority cleared",
        (
            Patch("rewrite.c", _TTL4, _TTL4 + "		skb->priority = 0;\n"),
            Patch("rewrite.c", _TTL6, _TTL6 + "		skb->priority = 0;\n"),
        ),
        (Catch(t.BORDER_FAR, "priority"), Catch(t.BORDER + t.METADATA, "priority")),
    ),
    Mutant(
        "a mark of the datapath's own left on packets",
        (
            Patch("rewrite.c", _TTL4, _TTL4 + "		skb->mark |= 1;\n"),
            Patch("rewrite.c", _TTL6, _TTL6 + "		skb->mark |= 1;\n"),
        ),
        (Catch(t.BORDER_FAR, "not set"), Catch(t.BORDER + t.METADATA, "not set")),
    ),
)
