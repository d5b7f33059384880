# SPDX-License-Identifier: Apache-2.0
"""Mutants: local delivery."""

from __future__ import annotations

from testbeds.mutants import targets as t
from testbeds.mutants.mutant import Catch, Mutant, patch

_PEER = "return redirected(program, VERDICT_LOCAL, redirect_peer(pod->ifindex, 0));"
#: Every echo reply of a pod is lost: ICMP type 0 behind 20 bytes, ICMPv6 type 129 behind 40.
_DROP_REPLIES = (
    "	{ u8 type; u32 l4 = 14 + (pkt->family == 2 ? 20 : 40);\n"
    "	if ((pkt->protocol == 1 || pkt->protocol == 58) &&\n"
    "	    !bpf_skb_load_bytes(skb, l4, &type, 1) && (type == 0 || type == 129))\n"
    "		return drop(program, DROP_REWRITE); }\n"
)
#: True for every hundredth echo of a series: its sequence number ends in 00.
_HUNDREDTH = (
    "	{ __be16 number; u32 l4 = 14 + (pkt->family == 2 ? 20 : 40);\n"
    "	if (!bpf_skb_load_bytes(skb, l4 + 6, &number, 2) && bpf_ntohs(number) %% 100 == 0)\n"
    "		%s }\n"
)
_REWRITE = "	if (decrement_ttl(skb, pkt) || write_macs(skb, pod->mac, pod->lxc_mac))\n"
#: A packet enters its lxc once more before it is rewritten; a mark keeps it from doing so for ever.
_ONCE_MORE = (
    "	if (skb->mark != 0x5e) {\n"
    "		skb->mark = 0x5e;\n"
    "		bpf_clone_redirect(skb, skb->ifindex, BPF_F_INGRESS); }\n"
)
_TOO_BIG = "	if (pkt->l3_size > pod->mtu)\n		return to_stack(program);\n"
#: Two bytes of an echo reply's payload become others; its checksum stays right.
_DAMAGE_REPLIES = (
    "	{ __be16 old, new = 0x5555; u8 type; u32 l4 = 14 + (pkt->family == 2 ? 20 : 40);\n"
    "	if ((pkt->protocol == 1 || pkt->protocol == 58) &&\n"
    "	    !bpf_skb_load_bytes(skb, l4, &type, 1) && (type == 0 || type == 129) &&\n"
    "	    !bpf_skb_load_bytes(skb, l4 + 32, &old, 2)) {\n"
    "		bpf_l4_csum_replace(skb, l4 + 2, old, new, 2);\n"
    "		bpf_skb_store_bytes(skb, l4 + 32, &new, 2, 0); } }\n"
)
#: The same of datagrams, either way.
_DAMAGE_DATAGRAMS = (
    "	{ __be16 old, new = 0x5555; u32 l4 = 14 + (pkt->family == 2 ? 20 : 40);\n"
    "	if (pkt->protocol == 17 && !bpf_skb_load_bytes(skb, l4 + 32, &old, 2)) {\n"
    "		bpf_l4_csum_replace(skb, l4 + 6, old, new, 2);\n"
    "		bpf_skb_store_bytes(skb, l4 + 32, &new, 2, 0); } }\n"
)
#: Echo requests change their numbers in pairs, 1 with 2, 3 with 4; their checksums stay right.
_EXCHANGE = (
    "	{ __be16 old, new; u8 type; u32 l4 = 14 + (pkt->family == 2 ? 20 : 40);\n"
    "	if (!bpf_skb_load_bytes(skb, l4, &type, 1) && (type == 8 || type == 128) &&\n"
    "	    !bpf_skb_load_bytes(skb, l4 + 6, &old, 2)) {\n"
    "		new = bpf_htons(((bpf_ntohs(old) - 1) ^ 1) + 1);\n"
    "		bpf_l4_csum_replace(skb, l4 + 2, old, new, 2);\n"
    "		bpf_skb_store_bytes(skb, l4 + 6, &new, 2, 0); } }\n"
)

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "a pod's address told by all but one bit",
        patch(
            "from_container.c",
            "	target = endpoints4.lookup(&pkt.dst4);",
            "	u32 few = pkt.dst4 & ~bpf_htonl(64);\n	target = endpoints4.lookup(&few);",
        ),
        (Catch(t.PODS, "lost", families=(4,)),),
    ),
    Mutant(
        "bpf_redirect instead of bpf_redirect_peer",
        patch(
            "local_delivery.c", "redirect_peer(pod->ifindex, 0)", "bpf_redirect(pod->ifindex, 0)"
        ),
        (
            Catch(t.LEGS, "legs"),
            Catch(t.LEGS_UDP, "legs"),
            Catch(t.LEGS_FAR, "legs"),
            Catch("two_node/test_legs::test_hr08_datagram_between_nodes", "legs"),
            Catch("two_node/test_legs::test_hr08_pod_and_world", "legs"),
            Catch(t.B1 + "test_hr11_tc_egress_drop_on_the_servers_lxc", "lost"),
            Catch(t.B1 + "test_hr46_backlog_enqueues_a_round_trip", "backlog enqueues"),
            Catch(t.BORDER + "test_hr37_mark_and_tstamp_across_the_border", "mark"),
            Catch(t.BORDER + "test_hr38_interface_counters", "lxc's tx_packets"),
        ),
    ),
    Mutant(
        "bpf_redirect_peer in bpf-redirect",
        patch(
            "local_delivery.c", "bpf_redirect(pod->ifindex, 0)", "redirect_peer(pod->ifindex, 0)"
        ),
        (
            Catch(t.LEGS, "legs"),
            Catch(t.B1 + "test_hr09_legs_as_legacy_bypass_as_bpf", "legs"),
        ),
        "bpf-redirect",
    ),
    Mutant(
        "delivered to the sender instead of the target",
        patch(
            "local_delivery.c", "redirect_peer(pod->ifindex, 0)", "redirect_peer(skb->ifindex, 0)"
        ),
        (Catch(t.LEGS, "legs"), Catch(t.LEGS_UDP, "legs")),
    ),
    Mutant(
        "every packet delivered twice",
        patch(
            "local_delivery.c",
            "	" + _PEER,
            "	bpf_clone_redirect(skb, pod->ifindex, 0);\n	" + _PEER,
        ),
        (Catch(t.LEGS, "legs"), Catch(t.MANY, "legs", {"count": 1})),
    ),
    Mutant(
        "every packet delivered twice past its lxc",
        patch("local_delivery.c", _REWRITE, _ONCE_MORE + _REWRITE),
        (Catch(t.BORDER + "test_hr38_interface_counters", "rx_packets"),),
    ),
    Mutant(
        "one packet of a hundred delivered twice",
        patch(
            "local_delivery.c",
            "	" + _PEER,
            _HUNDREDTH % "bpf_clone_redirect(skb, pod->ifindex, 0);" + "	" + _PEER,
        ),
        (Catch(t.MANY, "legs", {"count": 1000}), Catch(t.MANY_FAR, "legs", {"count": 1000})),
    ),
    Mutant(
        "one packet of a hundred lost",
        patch(
            "local_delivery.c",
            "	" + _PEER,
            _HUNDREDTH % "return drop(program, DROP_REWRITE);" + "	" + _PEER,
        ),
        (Catch(t.MANY, "legs", {"count": 1000}), Catch(t.MANY_FAR, "legs", {"count": 1000})),
    ),
    Mutant(
        "one packet of a hundred delivered by the stack",
        patch("local_delivery.c", _TOO_BIG, _HUNDREDTH % "return to_stack(program);" + _TOO_BIG),
        (
            Catch(t.MANY, "hooks", {"count": 1000}),
            Catch(t.MANY_FAR, "hooks", {"count": 1000}),
        ),
        "bpf-redirect",
    ),
    Mutant(
        "payload of echo replies changed on delivery",
        patch("local_delivery.c", "	" + _PEER, _DAMAGE_REPLIES + "	" + _PEER),
        (
            Catch(t.B1 + "test_hr02_netfilter_hooks", "lost"),
            Catch(
                "two_node/test_mtu::test_hr31_fragments_arrive_whole",
                "lost",
                families=(4,),
            ),
        ),
    ),
    Mutant(
        "payload of datagrams changed on delivery",
        patch("local_delivery.c", "	" + _PEER, _DAMAGE_DATAGRAMS + "	" + _PEER),
        (
            Catch(t.B1 + "test_hr03_conntrack", "lost"),
            Catch(t.B2 + "test_hr03_conntrack", "lost"),
        ),
    ),
    Mutant(
        "packets delivered out of order",
        patch("local_delivery.c", "	" + _PEER, _EXCHANGE + "	" + _PEER),
        (Catch(t.MANY, "legs", {"count": 1000}), Catch(t.MANY_FAR, "legs", {"count": 1000})),
    ),
    Mutant(
        "the last TCP segment delivered twice",
        patch(
            "local_delivery.c",
            "	return redirected(program, VERDICT_LOCAL, bpf_redirect(pod->ifindex, 0));",
            "	{ u8 flags; u32 l4 = 14 + (pkt->family == 2 ? 20 : 40);\n"
            "	if (pkt->protocol == IPPROTO_TCP &&\n"
            "	    !bpf_skb_load_bytes(skb, l4 + 13, &flags, 1) && flags & 1)\n"
            "		bpf_clone_redirect(skb, pod->ifindex, 0); }\n"
            "	return redirected(program, VERDICT_LOCAL, bpf_redirect(pod->ifindex, 0));",
        ),
        (Catch(t.LEGS_TCP, "legs"), Catch(t.LEGS_TCP_FAR, "legs")),
        "bpf-redirect",
    ),
    Mutant(
        "replies lost",
        patch("local_delivery.c", "	" + _PEER, _DROP_REPLIES + "	" + _PEER),
        (
            Catch(t.LEGS, "legs"),
            Catch(t.LEGS_FAR, "legs"),
            Catch(t.B1 + "test_hr02_netfilter_hooks", "lost"),
            Catch(t.B1 + "test_hr02_stack_counters", "lost"),
            Catch(t.B2 + "test_hr02_netfilter_hooks", "lost"),
            Catch(t.BORDER + "test_hr38_interface_counters", "lost"),
        ),
    ),
    Mutant(
        "datagrams lost",
        patch(
            "local_delivery.c",
            "	" + _PEER,
            "	if (pkt->protocol == 17)\n		return drop(program, DROP_REWRITE);\n	"
            + _PEER,
        ),
        (
            Catch(t.B1 + "test_hr03_conntrack", "lost"),
            Catch(t.B2 + "test_hr03_conntrack", "lost"),
        ),
    ),
    Mutant(
        "frames not addressed to the NIC left to the stack",
        patch(
            "local_delivery.c",
            "bpf_skb_change_type(skb, PACKET_HOST);",
            "return to_stack(program);",
        ),
        (Catch(t.OTHERHOST, "replies"),),
    ),
    Mutant(
        "timestamp cleared on delivery",
        patch("local_delivery.c", "	" + _PEER, "	skb->tstamp = 0;\n	" + _PEER),
        (Catch(t.BORDER + "test_hr37_mark_and_tstamp_across_the_border", "tstamp"),),
    ),
    Mutant(
        "mark cleared on delivery",
        patch("local_delivery.c", "	" + _PEER, "	skb->mark = 0;\n	" + _PEER),
        (Catch(t.BORDER + "test_hr37_mark_and_tstamp_across_the_border", "mark"),),
    ),
)
