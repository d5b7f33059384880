# SPDX-License-Identifier: Apache-2.0
"""Mutants: what is done for a ping and not for TCP or UDP, and errors of others."""

from __future__ import annotations

from harness.bpf.source import Patch
from testbeds.mutants import targets as t
from testbeds.mutants.mutant import Catch, Mutant, patch

_DELIVERY = "	if (pkt->ttl <= 1)\n"
_FORWARDING = "	fib.ifindex = skb->ifindex;\n"
_BEYOND = "two_node/test_errors::test_hr08_errors_of_a_router_beyond"
_FIRST_PACKET = t.NEIGH + "test_hr27_first_packet_of_tcp_and_udp"
_NARROW = t.MTU + "test_hr30_stream_fits_a_narrow_path"
_FAR_MTU = t.MTU + "test_hr30_beyond_a_far_pods_own_mtu"
_NO_NEIGH = "	case FIB_NO_NEIGH:\n		break;"
_NOT_FORWARDED = "	case FIB_NOT_FWDED:	/*"
_TOO_BIG = "	if (pkt->l3_size > pod->mtu)\n"


def _from_the_wire(condition: str, code: str) -> tuple[Patch, ...]:
    """Code about what the wire brings, if a condition holds for the first byte that IP carries."""
    return patch(
        "local_delivery.c",
        _DELIVERY,
        "	{ u8 byte; u32 l4 = 14 + (pkt->family == 2 ? 20 : 40);\n"
        "	if (program == PROGRAM_FROM_NETDEV && !bpf_skb_load_bytes(skb, l4, &byte, 1) &&\n"
        f"	    ({condition}))\n		{{ {code} }} }}\n{_DELIVERY}",
    )


def _sent(condition: str, verdict: str) -> tuple[Patch, ...]:
    """What a pod sends and meets a condition gets another verdict, whatever it is for."""
    return tuple(
        Patch("from_container.c", lookup, f"	if ({condition})\n		{verdict}\n{lookup}")
        for family in (4, 6)
        for lookup in (f"	target = endpoints{family}.lookup(&pkt.dst{family});\n",)
    )


_EXPIRED = "(pkt->protocol == 1 && byte == 11) || (pkt->protocol == 58 && byte == 3)"
_TOO_BIG_ERROR = "(pkt->protocol == 1 && byte == 3) || (pkt->protocol == 58 && byte == 2)"

_ERRORS = (
    Mutant(
        "time exceeded from the wire lost",
        _from_the_wire(_EXPIRED, "return drop(program, DROP_REWRITE);"),
        (Catch(_BEYOND, "legs"),),
    ),
    Mutant(
        "too big from the wire lost",
        _from_the_wire(_TOO_BIG_ERROR, "return drop(program, DROP_REWRITE);"),
        (Catch(_BEYOND, "legs"),),
    ),
    Mutant(
        "ICMP errors from the wire delivered to the first pod",
        _from_the_wire(_EXPIRED, "return redirect_peer(1000, 0);"),
        (Catch(_BEYOND, "legs"),),
    ),
    Mutant(
        "code of ICMP errors from the wire changed",
        _from_the_wire(_EXPIRED, "u8 code = 1; bpf_skb_store_bytes(skb, l4 + 1, &code, 1, 0);"),
        (Catch(_BEYOND, "errors"),),
    ),
    Mutant(
        "ICMP errors from the wire delivered by the stack in bpf-redirect",
        _from_the_wire(_EXPIRED, "return to_stack(program);"),
        (Catch(_BEYOND, "forward hook"),),
        "bpf-redirect",
    ),
)

_BY_PROTOCOL = (
    Mutant(
        "datagrams left to the stack",
        _sent("pkt.protocol == 17", "return to_stack(PROGRAM_FROM_CONTAINER);"),
        (
            Catch(t.B1 + "test_hr04_forward_policy_drop", "lost"),
            Catch(t.B1 + "test_hr11_tc_egress_drop_on_the_servers_lxc", "lost"),
            Catch(t.B1 + "test_hr43_host_route_deleted_and_rp_filter_on", "lost"),
            Catch(t.B2 + "test_hr04_forward_policy_drop", "lost", {"node": "master"}),
            Catch(t.B2 + "test_hr05_netdev_drop_on_the_nic", "lost", {"hook": "egress"}),
            Catch(t.MTU + "test_hr30_up_to_the_mtu_passes", "forward hook", {"size": 1400}),
        ),
    ),
    Mutant(
        "datagrams to a cold neighbour lost",
        patch(
            "forward.c",
            _NO_NEIGH,
            "		break;\n	case FIB_NO_NEIGH:\n		if (pkt->protocol == 17)\n"
            "			return drop(program, DROP_FIB);\n		break;",
        ),
        (Catch(_FIRST_PACKET, "lost"),),
    ),
    Mutant(
        "TCP to a cold neighbour left to the stack",
        patch(
            "forward.c",
            _NO_NEIGH,
            "		break;\n	case FIB_NO_NEIGH:\n		if (pkt->protocol == 6)\n"
            "			return to_stack(program);\n		break;",
        ),
        (Catch(_FIRST_PACKET, "forward hook"),),
    ),
    Mutant(
        "datagrams that are not forwarded left to the stack",
        patch(
            "forward.c",
            "	case FIB_FWD_DISABLED:\n",
            "	case FIB_FWD_DISABLED:\n		if (pkt->protocol == 17)\n"
            "			return to_stack(program);\n",
        ),
        (
            Catch(t.FIB + "test_hr19_refusing_routes", "legs", {"kind": "unreachable"}),
            Catch(t.FIB + "test_hr19_refusing_routes", "drops", {"kind": "blackhole"}),
        ),
    ),
    Mutant(
        "datagrams to a pod of the node lost",
        patch(
            "local_delivery.c",
            _DELIVERY,
            "	if (pkt->protocol == 17)\n		return drop(program, DROP_REWRITE);\n"
            + _DELIVERY,
        ),
        (Catch(t.FIB + "test_hr22_forwarding_off_on_the_lxc", "datagrams lost"),),
    ),
    Mutant(
        "TCP without a route lost",
        patch(
            "forward.c",
            _NOT_FORWARDED,
            "	case FIB_NOT_FWDED: if (pkt->protocol == 6) return drop(program, DROP_FIB);	/*",
        ),
        (
            Catch(t.FIB + "test_hr21_no_route", "legs"),
            Catch(t.FIB + "test_hr20_address_of_the_node_that_is_no_pod", "refusals"),
        ),
    ),
    Mutant(
        "no time exceeded about datagrams",
        patch(
            "icmp_error.c",
            "if (!node || !error_allowed(skb, pkt, l4_offset)",
            "if (!node || pkt->protocol == 17 || !error_allowed(skb, pkt, l4_offset)",
        ),
        (
            Catch(t.D2 + "test_hr17_ttl_1_ends_at_the_first_node", "legs"),
            Catch(t.D2 + "test_hr17_ttl_2_ends_at_the_second_node", "legs"),
        ),
    ),
    Mutant(
        "no MTU check of datagrams",
        (
            Patch(
                "forward.c",
                "fib.tot_len = pkt->l3_size;",
                "fib.tot_len = pkt->protocol == 17 ? 1 : pkt->l3_size;",
            ),
            Patch(
                "forward.c",
                "if (fib.ifindex == node->nic_ifindex && pkt->l3_size > node->nic_mtu)",
                "if (pkt->protocol != 17 && pkt->l3_size > node->nic_mtu)",
            ),
        ),
        (Catch(t.MTU + "test_hr30_beyond_the_mtu_is_told", "legs", {"size": 1404}),),
    ),
)

_MTU = (
    Mutant(
        "a pod's MTU not looked at from the wire",
        patch(
            "local_delivery.c",
            _TOO_BIG,
            "	if (pkt->l3_size > pod->mtu && program != PROGRAM_FROM_NETDEV)\n",
        ),
        (Catch(_FAR_MTU, "errors"),),
    ),
    Mutant(
        "a pod's MTU not looked at for datagrams",
        patch(
            "local_delivery.c",
            _TOO_BIG,
            "	if (pkt->l3_size > pod->mtu && pkt->protocol != 17)\n",
        ),
        (Catch(_FAR_MTU, "legs"),),
    ),
    Mutant(
        "what may be fragmented for a pod's MTU lost",
        patch(
            "local_delivery.c",
            _TOO_BIG,
            "	{ u8 flags; if (pkt->l3_size > pod->mtu &&\n"
            "	    !bpf_skb_load_bytes(skb, 20, &flags, 1) && !(flags & 0x40))\n"
            "		return drop(program, DROP_REWRITE); }\n" + _TOO_BIG,
        ),
        (Catch(_FAR_MTU, "lost", families=(4,)),),
    ),
    Mutant(
        "TCP forwarded by the stack",
        patch(
            "forward.c",
            _FORWARDING,
            f"	if (pkt->protocol == 6)\n		return to_stack(program);\n{_FORWARDING}",
        ),
        (Catch(_NARROW, "forward hook"),),
    ),
    Mutant(
        "segments kept smaller than the path's MTU",
        patch(
            "forward.c",
            _FORWARDING,
            "	{ u8 mss[4]; __be16 least = bpf_htons(536);\n"
            "	u32 l4 = 14 + (pkt->family == 2 ? 20 : 40);\n"
            "	if (pkt->protocol == 6 && !bpf_skb_load_bytes(skb, l4 + 20, mss, 4) &&\n"
            "	    mss[0] == 2 && mss[1] == 4)\n"
            f"		bpf_skb_store_bytes(skb, l4 + 22, &least, 2, 0); }}\n{_FORWARDING}",
        ),
        (Catch(_NARROW, "largest on the wire"),),
    ),
    Mutant(
        "a byte of what is forwarded in segments corrupted",
        patch(
            "forward.c",
            _FORWARDING,
            "	{ u8 byte = 0xa5; if (skb->gso_size)\n"
            f"		bpf_skb_store_bytes(skb, 500, &byte, 1, 0); }}\n{_FORWARDING}",
        ),
        (Catch(_NARROW, "stream intact"),),
    ),
)

MUTANTS: tuple[Mutant, ...] = (*_ERRORS, *_BY_PROTOCOL, *_MTU)
