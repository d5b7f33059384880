# SPDX-License-Identifier: Apache-2.0
"""Mutants: the MTU."""

from __future__ import annotations

from harness.bpf.source import Patch
from testbeds.mutants import targets as t
from testbeds.mutants.mutant import Catch, Mutant, patch

_PEER = "return redirected(program, VERDICT_LOCAL, redirect_peer(pod->ifindex, 0));"

_BIG = t.MTU + "test_hr33_big_tcp_arrives_as_it_was_sent"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "no MTU check",
        (
            Patch("forward.c", "fib.tot_len = pkt->l3_size;", "fib.tot_len = 0;"),
            Patch(
                "forward.c",
                "if (fib.ifindex == node->nic_ifindex && pkt->l3_size > node->nic_mtu)",
                "if (0)",
            ),
        ),
        (
            Catch(
                t.MTU + "test_hr30_beyond_the_mtu_is_told",
                "errors",
                {"size": 1401},
            ),
            Catch(
                t.MTU + "test_hr30_beyond_the_mtu_is_told",
                "errors",
                {"size": 1404},
            ),
        ),
    ),
    Mutant(
        "MTU off by one",
        patch("forward.c", "fib.tot_len = pkt->l3_size;", "fib.tot_len = pkt->l3_size + 1;"),
        (
            Catch(
                t.MTU + "test_hr30_up_to_the_mtu_passes",
                "forward hook",
                {"size": 1400},
            ),
        ),
    ),
    Mutant(
        "too big: dropped in silence",
        patch(
            "forward.c",
            "	case FIB_FRAG_NEEDED:	/*",
            "	case FIB_FRAG_NEEDED: return drop(program, DROP_FIB);	/*",
        ),
        (
            Catch(
                t.MTU + "test_hr30_beyond_the_mtu_is_told",
                "errors",
                {"size": 1401},
            ),
            Catch(t.MTU + "test_hr31_fragments_arrive_whole", "lost", families=(4,)),
            Catch(t.MTU + "test_hr31_the_sender_fragments_ipv6", "errors", families=(6,)),
        ),
    ),
    Mutant(
        "size of a GSO packet taken for its segments'",
        patch("parse.h", "u32 gso_size = skb->gso_size;", "u32 gso_size = 0;"),
        (Catch(t.MTU + "test_hr33_gso_stream_arrives_intact", "forward hook"),),
    ),
    Mutant(
        "a byte of the stream corrupted",
        patch(
            "local_delivery.c",
            "	" + _PEER,
            "	{ u8 byte = 0xa5;\n"
            "	  if (skb->len > 2000) bpf_skb_store_bytes(skb, 1000, &byte, 1, 0); }\n	"
            + _PEER,
        ),
        (
            Catch(t.MTU + "test_hr33_gso_stream_arrives_intact", "stream intact"),
            Catch(_BIG, "stream intact", {"to": "pod2"}),
        ),
    ),
    Mutant(
        "a jumbogram's header taken for an option",
        patch("read_packet.c", "if (is_big_tcp(skb, ip))", "if (0)"),
        (Catch(_BIG, "errors", {"to": "pod2"}, (6,)), Catch(_BIG, "errors", {"to": "pod3"}, (6,))),
    ),
    Mutant(
        "a jumbogram's header counted to each segment",
        patch(
            "read_packet.c",
            "sizeof(struct jumbo_header), sizeof(*ip));",
            "sizeof(struct jumbo_header), sizeof(*ip) + 8);",
        ),
        (Catch(_BIG, "errors", {"to": "pod2"}, (6,)),),
    ),
    Mutant(
        "IPv4 without a length taken for malformed",
        patch("read_packet.c", " ||\n				 skb->gso_size);", ");"),
        (Catch(_BIG, "arrives uncut", {"to": "pod2"}, (4,)),),
    ),
    Mutant(
        "BIG TCP left to the stack",
        patch(
            "local_delivery.c",
            "if (pkt->l3_size > pod->mtu)",
            "if (pkt->l3_size > pod->mtu || skb->len > 66000)",
        ),
        (Catch(_BIG, "forward hook", {"to": "pod2"}, (4,)),),
    ),
)
