# SPDX-License-Identifier: Apache-2.0
"""Mutated datapaths, and the assertion that must catch each: the suite's negative controls.

An assertion that nobody has seen fail does not count. Each mutant is a named patch of the
sources in bpf/; each of its catches is a test of the suite and a piece of the line on which
that test must fail, for that reason and no other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.bpf.module import Patch


@dataclass(frozen=True)
class Catch:
    """A test that must fail.

    Attributes:
        test: `one_node/test_legs::test_hr07_…`, below testbeds/.
        line: What stands in the failing line.
        arguments: Values for the test's own parameters.
        families: Which families the fault shows in.
    """

    test: str
    line: str
    arguments: dict[str, object] = field(default_factory=dict)
    families: tuple[int, ...] = (4, 6)


@dataclass(frozen=True)
class Mutant:
    """A fault in the datapath.

    Attributes:
        name: What is wrong, in a few words.
        patches: How it is made.
        catches: What must notice.
        datapath: The datapath that is mutated.
        posing_as: The name under which it is tested, if not its own.
    """

    name: str
    patches: tuple[Patch, ...]
    catches: tuple[Catch, ...]
    datapath: str = "bpf"
    posing_as: str = ""


def _patch(file: str, old: str, new: str) -> tuple[Patch, ...]:
    return (Patch(file, old, new),)


_PEER = "return redirected(program, VERDICT_LOCAL, redirect_peer(pod->ifindex, 0));"
_DELIVERED = "if (decrement_ttl(skb, pkt) || write_macs(skb, pod->mac, pod->lxc_mac))"

# The tests, by what they assert.
_LEGS = "one_node/test_legs::test_hr07_ping_between_pods_same_node"
_LEGS_UDP = "one_node/test_legs::test_hr07_datagram_between_pods_same_node"
_LEGS_FAR = "two_node/test_legs::test_hr08_ping_between_nodes"
_OWN_NODE = "one_node/test_legs::test_hr10_pod_and_its_own_node"
_MANY = "one_node/test_legs::test_hr12_every_leg_once_same_node"
_MANY_FAR = "two_node/test_legs::test_hr12_every_leg_once_two_nodes"
_TTL = "one_node/test_frames::test_hr13_ttl_same_node"
_TTL_FAR = "two_node/test_frames::test_hr13_ttl_two_nodes"
_MACS = "one_node/test_frames::test_hr14_macs_at_the_pod"
_MACS_FAR = "two_node/test_frames::test_hr14_macs_at_the_pod"
_MACS_WIRE = "two_node/test_frames::test_hr15_macs_on_the_wire"
_SUMS = "one_node/test_frames::test_hr18_checksums_at_every_tap_same_node"
_SUMS_FAR = "two_node/test_frames::test_hr18_checksums_at_every_tap_two_nodes"
_OTHERHOST = "two_node/test_frames::test_hr47_frame_not_addressed_to_the_nic"
_B1, _B2 = "one_node/test_bypass::", "two_node/test_bypass::"
_GATEWAY = "one_node/test_gateway::test_hr16_gateway_is_answered_for"
_OWN_ADDRESS = "one_node/test_gateway::test_hr16_own_address_is_not_answered_for"
_TAKEN = "one_node/test_gateway::test_hr16_a_pod_may_not_take_the_gateways_address"
_D1, _D2 = "one_node/test_router_duties::", "two_node/test_router_duties::"
_FIB = "two_node/test_fib::"
_NEIGH = "two_node/test_neighbours::"
_MTU = "two_node/test_mtu::"
_BORDER = "one_node/test_border::"

_TABLE = "seen.legs() =="
_LOST = "exchange.lost =="
_ALL_HOOKS = "dict.fromkeys(hooks, expected)"
_NO_FAULTS = "if fault[1]] == []"
_OFFLOADS = {"offloads": True}

#: Every echo reply of a pod is lost: ICMP type 0 behind 20 bytes, ICMPv6 type 129 behind 40.
_DROP_REPLIES = """	{ u8 type; u32 l4 = 14 + (pkt->family == 2 ? 20 : 40);
	  if ((pkt->protocol == 1 || pkt->protocol == 58) &&
	      !bpf_skb_load_bytes(skb, l4, &type, 1) && (type == 0 || type == 129))
		return drop(program, DROP_REWRITE); }
"""
#: True for every hundredth echo of a series: its sequence number ends in 00.
_HUNDREDTH = """	{ __be16 number; u32 l4 = 14 + (pkt->family == 2 ? 20 : 40);
	  if (!bpf_skb_load_bytes(skb, l4 + 6, &number, 2) && bpf_ntohs(number) %% 100 == 0)
		%s }
"""

MUTANTS: tuple[Mutant, ...] = (
    # ------------------------------------------------------------------- the stack is entered
    Mutant(
        "local delivery left to the stack",
        _patch("local_delivery.c", _PEER, "return to_stack(program);"),
        (
            Catch(_B1 + "test_hr01_programs_attached_and_hit", "assert hits =="),
            Catch(_B1 + "test_hr02_netfilter_hooks", _ALL_HOOKS),
            Catch(_B1 + "test_hr02_stack_counters", "(expected, expected)"),
            Catch(_B1 + "test_hr03_conntrack", "assert entries =="),
            Catch(_B1 + "test_hr04_forward_policy_drop", _LOST),
            Catch(_B1 + "test_hr43_host_route_deleted_and_rp_filter_on", _LOST),
            Catch(_B1 + "test_hr46_backlog_enqueues_a_round_trip", "min(rounds)"),
        ),
    ),
    Mutant(
        "forwarding left to the stack",
        _patch("forward.c", "	count_fib(result);", "	count_fib(result); return to_stack(program);"),
        (
            Catch(_B2 + "test_hr02_netfilter_hooks", "dict.fromkeys(NODES, hooks)"),
            Catch(_B2 + "test_hr03_conntrack", "assert entries =="),
            Catch(_B2 + "test_hr04_forward_policy_drop", _LOST, {"node": "master"}),
            Catch(_B2 + "test_hr05_netdev_drop_on_the_nic", _LOST, {"hook": "egress"}),
        ),
    ),
    Mutant(
        "delivery from the wire left to the stack",
        _patch("local_delivery.c", "	if (pkt->ttl <= 1)",
               "	if (program == PROGRAM_FROM_NETDEV) return to_stack(program);\n	if (pkt->ttl <= 1)"),
        (
            Catch(_B2 + "test_hr02_netfilter_hooks", "dict.fromkeys(NODES, hooks)"),
            Catch(_B2 + "test_hr05_netdev_drop_on_the_nic", _LOST, {"hook": "ingress"}),
            Catch(_OTHERHOST, "assert replied =="),
        ),
    ),  # fmt: skip
    Mutant(
        "cold neighbour left to the stack",
        _patch("forward.c", "	case FIB_NO_NEIGH:\n		break;",
               "		break;\n	case FIB_NO_NEIGH: return to_stack(program);"),
        (Catch(_NEIGH + "test_hr27_first_packet_to_a_cold_neighbour", 'hooks["forward"] == 0'),),
    ),  # fmt: skip
    Mutant(
        "bpf-redirect leaves local delivery to the stack",
        _patch("local_delivery.c",
               "return redirected(program, VERDICT_LOCAL, bpf_redirect(pod->ifindex, 0));",
               "return to_stack(program);"),
        (
            Catch(_B1 + "test_hr09_legs_as_legacy_bypass_as_bpf", _TABLE),
            Catch(_B2 + "test_hr09_bypass_as_bpf", _LOST),
        ),
        "bpf-redirect",
    ),  # fmt: skip
    # ------------------------------------------------------------------------- local delivery
    Mutant(
        "bpf_redirect instead of bpf_redirect_peer",
        _patch("local_delivery.c", "redirect_peer(pod->ifindex, 0)", "bpf_redirect(pod->ifindex, 0)"),
        (
            Catch(_LEGS, _TABLE),
            Catch(_LEGS_UDP, _TABLE),
            Catch(_LEGS_FAR, _TABLE),
            Catch(_B1 + "test_hr11_tc_egress_drop_on_the_servers_lxc", _LOST),
            Catch(_B1 + "test_hr46_backlog_enqueues_a_round_trip", "min(rounds)"),
            Catch(_BORDER + "test_hr37_mark_across_the_border", 'seen["mark"]'),
            Catch(_BORDER + "test_hr38_interface_counters", '"tx_packets"]'),
        ),
    ),
    Mutant(
        "bpf_redirect_peer in bpf-redirect",
        _patch("local_delivery.c", "bpf_redirect(pod->ifindex, 0)", "redirect_peer(pod->ifindex, 0)"),
        (
            Catch(_LEGS, _TABLE),
            Catch(_B1 + "test_hr09_legs_as_legacy_bypass_as_bpf", _TABLE),
        ),
        "bpf-redirect",
    ),
    Mutant(
        "delivered to the sender instead of the target",
        _patch("local_delivery.c", "redirect_peer(pod->ifindex, 0)", "redirect_peer(skb->ifindex, 0)"),
        (Catch(_LEGS, _TABLE), Catch(_LEGS_UDP, _TABLE)),
    ),
    Mutant(
        "every packet delivered twice",
        _patch("local_delivery.c", "	" + _PEER,
               "	bpf_clone_redirect(skb, pod->ifindex, 0);\n	" + _PEER),
        (Catch(_LEGS, _TABLE), Catch(_MANY, _TABLE, {"count": 1})),
    ),  # fmt: skip
    Mutant(
        "one packet of a hundred delivered twice",
        _patch("local_delivery.c", "	" + _PEER,
               _HUNDREDTH % "bpf_clone_redirect(skb, pod->ifindex, 0);" + "	" + _PEER),
        (Catch(_MANY, _TABLE, {"count": 1000}), Catch(_MANY_FAR, _TABLE, {"count": 1000})),
    ),  # fmt: skip
    Mutant(
        "one packet of a hundred lost",
        _patch("local_delivery.c", "	" + _PEER,
               _HUNDREDTH % "return drop(program, DROP_REWRITE);" + "	" + _PEER),
        (Catch(_MANY, _TABLE, {"count": 1000}), Catch(_MANY_FAR, _TABLE, {"count": 1000})),
    ),  # fmt: skip
    Mutant(
        "replies lost",
        _patch("local_delivery.c", "	" + _PEER, _DROP_REPLIES + "	" + _PEER),
        (Catch(_LEGS, _TABLE), Catch(_LEGS_FAR, _TABLE)),
    ),
    Mutant(
        "frames not addressed to the NIC left to the stack",
        _patch("local_delivery.c", "bpf_skb_change_type(skb, PACKET_HOST);", "return to_stack(program);"),
        (Catch(_OTHERHOST, "assert replied =="),),
    ),
    Mutant(
        "mark cleared on delivery",
        _patch("local_delivery.c", "	" + _PEER, "	skb->mark = 0;\n	" + _PEER),
        (Catch(_BORDER + "test_hr37_mark_across_the_border", 'seen["mark"]'),),
    ),
    # --------------------------------------------------------------------------- what is rewritten
    Mutant(
        "TTL not decremented on delivery",
        _patch("local_delivery.c", _DELIVERED, "if (write_macs(skb, pod->mac, pod->lxc_mac))"),
        (
            Catch(_TTL, '"pod2:eth0", "request", "in")] == [63]'),
            Catch(_TTL_FAR, '"pod2:eth0", "request", "in")] == [62]'),
        ),
    ),
    Mutant(
        "TTL not decremented on forwarding",
        _patch("forward.c", """	if (decrement_ttl(skb, pkt))
		return drop(program, DROP_REWRITE);

	/* Kernels""", "	/* Kernels"),
        (Catch(_TTL_FAR, '"master:enp0s8", "request", "out")] == [63]'),),
    ),
    Mutant(
        "TTL decremented twice",
        _patch("local_delivery.c", _DELIVERED, "decrement_ttl(skb, pkt);\n	" + _DELIVERED),
        (Catch(_TTL, '"pod2:eth0", "request", "in")] == [63]', families=(4,)),),
    ),
    Mutant(
        "IPv4 checksum not adjusted to the new TTL",
        _patch("rewrite.c", "		ip->check = check + (check >= 0xffff);\n", ""),
        (Catch(_SUMS, _NO_FAULTS, _OFFLOADS, (4,)), Catch(_SUMS_FAR, _NO_FAULTS, _OFFLOADS, (4,))),
    ),
    Mutant(
        "IPv4 checksum off by one",
        _patch("rewrite.c", "ip->check = check + (check >= 0xffff);",
               "ip->check = check + (check >= 0xffff) + 1;"),
        (Catch(_SUMS, _NO_FAULTS, _OFFLOADS, (4,)),),
    ),  # fmt: skip
    Mutant(
        "MACs not rewritten on delivery",
        _patch("local_delivery.c", _DELIVERED, "if (decrement_ttl(skb, pkt))"),
        (Catch(_MACS, "assert macs =="), Catch(_MACS_FAR, "(pod.lxc_mac, pod.mac)")),
    ),
    Mutant(
        "source MAC is the pod's own",
        _patch("local_delivery.c", "write_macs(skb, pod->mac, pod->lxc_mac)",
               "write_macs(skb, pod->mac, pod->mac)"),
        (Catch(_MACS, "assert macs =="),),
    ),  # fmt: skip
    Mutant(
        "MACs exchanged on the wire",
        _patch("forward.c", "write_macs(skb, fib.dmac, fib.smac)", "write_macs(skb, fib.smac, fib.dmac)"),
        (Catch(_MACS_WIRE, "[there] * 4"),),
    ),
    Mutant(
        "MACs not rewritten for the wire",
        _patch("forward.c", "if (write_macs(skb, fib.dmac, fib.smac))", "if (0)"),
        (Catch(_MACS_WIRE, "[there] * 4"),),
    ),
    # --------------------------------------------------------------------------------- the lookup
    Mutant(
        "refusing routes left to the stack",
        _patch("forward.c", "		return drop(program, DROP_FIB);", "		return to_stack(program);"),
        (
            Catch(_FIB + "test_hr19_refusing_routes", _TABLE, {"kind": "prohibit"}),
            Catch(_FIB + "test_hr19_refusing_routes", '.drops == {"fib": 1}', {"kind": "blackhole"}),
            Catch(_FIB + "test_hr22_forwarding_off_on_the_lxc", '.drops == {"fib": 1}', families=(4,)),
            Catch(_FIB + "test_hr22_forwarding_off_on_the_lxc", "(away.lost, local.lost)", families=(6,)),
        ),
    ),
    Mutant(
        "lookups counted under the next code",
        _patch("forward.c", "	count_fib(result);", "	count_fib(result + 1);"),
        (
            Catch(_FIB + "test_hr19_refusing_routes", ".fib == {kind: 1}", {"kind": "unreachable"}),
            Catch(_FIB + "test_hr22_forwarding_off_on_the_lxc", '.fib == {"fwd-disabled": 1}'),
            Catch(_NEIGH + "test_hr27_first_packet_to_a_cold_neighbour", '.fib == {"no-neigh": 1}'),
            Catch(_NEIGH + "test_hr29_neighbour_that_never_answers", '.fib == {"no-neigh": 1}'),
        ),
    ),
    Mutant(
        "unknown destinations dropped",
        _patch("forward.c", "	case FIB_NOT_FWDED:	/*", "	case FIB_NOT_FWDED: return drop(program, DROP_FIB);	/*"),
        (
            Catch(_FIB + "test_hr21_no_route", "for e in exchange.errors]"),
            Catch(_D1 + "test_hr20_address_of_the_node_that_is_no_pod", _LOST),
        ),
    ),
    Mutant(
        "the node's own addresses not known",
        _patch("from_container.c", """		return to_stack(PROGRAM_FROM_CONTAINER);
	if (target)
		action = deliver_local(skb, &pkt, target, PROGRAM_FROM_CONTAINER);
	else	/* encap.c */
		action = forward(skb, &pkt, PROGRAM_FROM_CONTAINER);
	return action == TTL_EXPIRED ? time_exceeded(skb, &pkt, PROGRAM_FROM_CONTAINER) : action;
}

static __always_inline int from_container6""", """		return drop(PROGRAM_FROM_CONTAINER, DROP_FIB);
	if (target)
		action = deliver_local(skb, &pkt, target, PROGRAM_FROM_CONTAINER);
	else	/* encap.c */
		action = forward(skb, &pkt, PROGRAM_FROM_CONTAINER);
	return action == TTL_EXPIRED ? time_exceeded(skb, &pkt, PROGRAM_FROM_CONTAINER) : action;
}

static __always_inline int from_container6"""),
        (
            Catch(_OWN_NODE, _TABLE, families=(4,)),
            Catch(_D1 + "test_hr17_ttl_1_to_the_node_itself_is_answered", ".lost == 0", families=(4,)),
        ),
    ),
    # ------------------------------------------------------------------------------ neighbours
    Mutant(
        "cold neighbour dropped",
        _patch("forward.c", "	case FIB_NO_NEIGH:\n		break;",
               "		break;\n	case FIB_NO_NEIGH: return drop(program, DROP_FIB);"),
        (Catch(_NEIGH + "test_hr27_first_packet_to_a_cold_neighbour", _LOST),),
    ),  # fmt: skip
    Mutant(
        "cold neighbour sent to without a MAC",
        (
            Patch("forward.c", "if (result == FIB_SUCCESS && mac_known(fib.dmac) &&", "if (result >= 0 &&"),
            Patch("forward.c", "	if (!used || now - *used < REFRESH_JIFFIES)", "	if (1)"),
        ),
        (
            Catch(_NEIGH + "test_hr29_neighbour_that_never_answers", _TABLE),
        ),
    ),
    Mutant(
        "failed neighbour sent to without a MAC",  # as kernels without NUD_VALID's check did
        (
            Patch("forward.c", "if (result == FIB_SUCCESS && mac_known(fib.dmac) &&", "if (result >= 0 &&"),
            Patch("forward.c", "#define REFRESH_JIFFIES	64", "#define REFRESH_JIFFIES	(1 << 30)"),
        ),
        (Catch(_NEIGH + "test_hr29_failed_neighbour_is_never_sent_to", '"request") == []'),),
    ),
    Mutant(
        "neighbours in use never refreshed",
        _patch("forward.c", "	if (!used || now - *used < REFRESH_JIFFIES)", "	if (1)"),
        (Catch(_NEIGH + "test_hr28_next_hop_moves_silently", "== [NEW_MAC]"),),
    ),
    Mutant(
        "next hop's MAC remembered from the first packet",
        (
            Patch("maps.c", "BPF_ARRAY(config,", "BPF_ARRAY(first_mac, u64, 1);\nBPF_ARRAY(config,"),
            Patch("forward.c", "		if (write_macs(skb, fib.dmac, fib.smac))",
                  "		u64 *kept = first_mac.lookup(&zero);\n"
                  "		if (kept && !*kept) __builtin_memcpy(kept, fib.dmac, 6);\n"
                  "		if (!kept || write_macs(skb, (u8 *)kept, fib.smac))"),
            Patch("forward.c", "	if (!used || now - *used < REFRESH_JIFFIES)", "	if (1)"),
        ),
        (Catch(_NEIGH + "test_hr28_next_hop_announces_another_mac", "== [NEW_MAC, NEW_MAC]"),),
    ),  # fmt: skip
    # ------------------------------------------------------------------------------------ the MTU
    Mutant(
        "no MTU check",
        (
            Patch("forward.c", "fib.tot_len = pkt->l3_size;", "fib.tot_len = 0;"),
            Patch("forward.c", "if (fib.ifindex == node->nic_ifindex && pkt->l3_size > node->nic_mtu)", "if (0)"),
        ),
        (
            Catch(_MTU + "test_hr30_beyond_the_mtu_is_told", "for e in exchange.errors]", {"size": 1401}),
            Catch(_MTU + "test_hr30_beyond_the_mtu_is_told", "for e in exchange.errors]", {"size": 1404}),
        ),
    ),
    Mutant(
        "MTU off by one",
        _patch("forward.c", "fib.tot_len = pkt->l3_size;", "fib.tot_len = pkt->l3_size + 1;"),
        (
            Catch(_MTU + "test_hr30_up_to_the_mtu_passes", 'hooks["forward"] == forwarded', {"size": 1400}),
        ),
    ),
    Mutant(
        "too big: dropped in silence",
        _patch("forward.c", "	case FIB_FRAG_NEEDED:	/*", "	case FIB_FRAG_NEEDED: return drop(program, DROP_FIB);	/*"),
        (
            Catch(_MTU + "test_hr30_beyond_the_mtu_is_told", "for e in exchange.errors]", {"size": 1401}),
            Catch(_MTU + "test_hr31_fragments_arrive_whole", _LOST, families=(4,)),
            Catch(_MTU + "test_hr31_fragments_arrive_whole", "for e in exchange.errors]", families=(6,)),
        ),
    ),
    Mutant(
        "size of a GSO packet taken for its segments'",
        _patch("parse.h", "	if (skb->gso_size)", "	if (0)"),
        (Catch(_MTU + "test_hr33_gso_stream_arrives_intact", '.get("frag-needed", 0) == 0'),),
    ),
    Mutant(
        "a byte of the stream corrupted",
        _patch("local_delivery.c", "	" + _PEER,
               "	{ u8 byte = 0xa5; if (skb->len > 2000) bpf_skb_store_bytes(skb, 1000, &byte, 1, 0); }\n	" + _PEER),
        (Catch(_MTU + "test_hr33_gso_stream_arrives_intact", "received_sha256"),),
    ),  # fmt: skip
    # -------------------------------------------------------------------------- a router's duties
    Mutant(
        "time exceeded not sent",
        _patch("icmp_error.c", "if (!node || !error_allowed(skb, pkt, l4_offset))", "if (1)"),
        (
            Catch(_D1 + "test_hr17_ttl_1_same_node", "exchange.errors ==", {"size": 56}),
            Catch(_D2 + "test_hr17_ttl_1_ends_at_the_first_node", "exchange.errors =="),
            Catch(_D2 + "test_hr17_ttl_2_ends_at_the_second_node", "exchange.errors =="),
        ),
    ),
    Mutant(
        "time exceeded from another's address",
        (
            Patch("icmp_error.c", "from_pod ? node->gateway4 : node->node4", "pkt->dst4"),
            Patch("icmp_error.c", "from_pod ? node->gateway6 : node->node6", "pkt->dst6"),
        ),
        (
            Catch(_D1 + "test_hr17_ttl_1_same_node", "exchange.errors ==", {"size": 0}),
            Catch(_D2 + "test_hr17_ttl_2_ends_at_the_second_node", "exchange.errors =="),
        ),
    ),
    Mutant(
        "ICMP error's checksum off by one",
        (
            Patch("icmp_error.c", "head.icmp.checksum = fold(sum);", "head.icmp.checksum = fold(sum) + 1;"),
            Patch("icmp_error.c", "head.icmp.icmp6_cksum = fold(sum);", "head.icmp.icmp6_cksum = fold(sum) + 1;"),
        ),
        (Catch(_SUMS, _NO_FAULTS, _OFFLOADS), Catch(_SUMS_FAR, _NO_FAULTS, _OFFLOADS)),
    ),
    Mutant(
        "source address not checked",
        (
            Patch("from_container.c", "if (pkt.src4 != pod->ip4)", "if (0)"),
            Patch("from_container.c", "own = same_address6(&pkt.src6, &pod->ip6);", "own = true;"),
        ),
        (
            Catch(_D1 + "test_hr45_spoofed_source", '.drops == {"source": 1}', {"claimed": "pod2"}),
            Catch(_D1 + "test_hr45_spoofed_source", '.drops == {"source": 1}', {"claimed": "stranger"}),
        ),
    ),
    Mutant(
        "spoofed source counted as malformed",
        _patch("count.c", "	u64 *count = drops.lookup(&reason);",
               "	u32 wrong = 0; u64 *count = drops.lookup(&wrong);"),
        (Catch(_D1 + "test_hr45_spoofed_source", '.drops == {"source": 1}', {"claimed": "pod2"}),),
    ),  # fmt: skip
    Mutant(
        "link scope sent out of the NIC",
        _patch("from_container.c", "	if (link_scope6(&pkt.dst6))\n		return to_stack(PROGRAM_FROM_CONTAINER);",
               "	if (link_scope6(&pkt.dst6)) { u32 zero = 0; struct node_config *node = config.lookup(&zero);\n"
               "		if (node) return bpf_redirect(node->nic_ifindex, 0); }"),
        (
            Catch(_D2 + "test_hr23_link_scope_never_reaches_the_wire", "seen.frames} ==",
                  {"destination": "ff02::1"}, (6,)),
            Catch(_D2 + "test_hr23_link_scope_never_reaches_the_wire", "seen.frames} ==",
                  {"destination": "fe80::99"}, (6,)),
        ),
    ),  # fmt: skip
    Mutant(
        "link scope flooded to every lxc",
        _patch("from_container.c", "	if (link_scope6(&pkt.dst6))\n		return to_stack(PROGRAM_FROM_CONTAINER);",
               "	if (link_scope6(&pkt.dst6)) { u32 i = skb->ifindex + 1;\n"
               "		return redirect_peer(i, 0); }"),
        (
            Catch(_D1 + "test_hr23_link_local_and_multicast_are_not_routed", "seen.frames} ==",
                  {"destination": "ff02::1"}, (6,)),
        ),
    ),  # fmt: skip
    # ------------------------------------------------------------------------------- the gateway
    Mutant(
        "gateway not answered for",
        (
            Patch("gateway.c", "target != node->gateway4)", "1)"),
            Patch("gateway.c", "!same_address6(&sol->target, &node->gateway6))", "1)"),
        ),
        (Catch(_GATEWAY, "exchange.lost == 0"), Catch(_TAKEN, _TABLE)),
    ),
    Mutant(
        "gateway answered for with the pod's own MAC",
        (
            Patch("gateway.c", "	__builtin_memcpy(arp->sender_mac, pod->lxc_mac, ETH_ALEN);",
                  "	__builtin_memcpy(arp->sender_mac, cur.eth->h_dest, ETH_ALEN);"),
            Patch("gateway.c", "	__builtin_memcpy(adv.mac, pod->lxc_mac, ETH_ALEN);",
                  "	__builtin_memcpy(adv.mac, adv.eth.h_dest, ETH_ALEN);"),
        ),
        (Catch(_GATEWAY, "== pod.lxc_mac"),),
    ),  # fmt: skip
    Mutant(
        "every address answered for",
        (
            Patch("gateway.c", "target != node->gateway4)", "0)"),
            Patch("gateway.c", "!same_address6(&sol->target, &node->gateway6))", "0)"),
        ),
        (Catch(_OWN_ADDRESS, _TABLE),),
    ),
    Mutant(
        "advertisement's checksum off by one",
        _patch("gateway.c", "adv.icmp.icmp6_cksum = fold(sum);", "adv.icmp.icmp6_cksum = fold(sum) + 1;"),
        (Catch(_GATEWAY, "exchange.lost == 0", families=(6,)),),
    ),
    # --------------------------------------------------------------------------- the counters
    Mutant(
        "hits not counted",
        _patch("count.c", "	if (hit)\n		*hit += 1;", ""),
        (
            Catch(_B1 + "test_hr01_programs_attached_and_hit", "assert hits =="),
            Catch(_B2 + "test_hr01_programs_attached_and_hit", "assert sent == PINGS"),
        ),
    ),
    Mutant(
        "what leaves the NIC counted twice",
        _patch("to_netdev.c", "	count_hit(PROGRAM_TO_NETDEV, VERDICT_PASS);",
               "	count_hit(PROGRAM_TO_NETDEV, VERDICT_PASS);\n	count_hit(PROGRAM_TO_NETDEV, VERDICT_PASS);"),
        (Catch(_B2 + "test_hr01_programs_attached_and_hit", '["to-netdev", "pass"]'),),
    ),  # fmt: skip
    # ------------------------------------------------- the legacy arm is not what it says it is
    Mutant(
        "BPF poses as legacy",
        (),
        (
            Catch(_LEGS, _TABLE),
            Catch(_LEGS_FAR, _TABLE),
            Catch(_B1 + "test_hr01_programs_attached_and_hit", "assert attached == set()"),
            Catch(_B1 + "test_hr02_netfilter_hooks", _ALL_HOOKS),
            Catch(_B1 + "test_hr03_conntrack", "assert entries =="),
            Catch(_B1 + "test_hr04_forward_policy_drop", _LOST),
            Catch(_B2 + "test_hr05_netdev_drop_on_the_nic", _LOST, {"hook": "ingress"}),
            Catch(_B1 + "test_hr11_tc_egress_drop_on_the_servers_lxc", _LOST),
            Catch(_B1 + "test_hr43_host_route_deleted_and_rp_filter_on", _LOST),
            Catch(_B1 + "test_hr46_backlog_enqueues_a_round_trip", "min(rounds)"),
            Catch(_OTHERHOST, "assert replied =="),
        ),
        posing_as="legacy",
    ),
    Mutant(
        "legacy poses as BPF",
        (),
        (
            Catch(_LEGS, _TABLE),
            Catch(_LEGS_FAR, _TABLE),
            Catch(_B1 + "test_hr02_netfilter_hooks", _ALL_HOOKS),
            Catch(_B1 + "test_hr04_forward_policy_drop", _LOST),
            Catch("one_node/test_decision::test_hr06_every_requirement_met_means_bpf", "entry.decision) =="),
        ),
        "legacy",
        posing_as="bpf",
    ),
)
