# SPDX-License-Identifier: Apache-2.0
"""Mutants: the stack is entered."""

from __future__ import annotations

from harness.bpf.source import Patch
from testbeds.mutants import targets as t
from testbeds.mutants.mutant import Catch, Mutant, patch

_PEER = "return redirected(program, VERDICT_LOCAL, redirect_peer(pod->ifindex, 0));"
_TTL_NEXT = "	if (fib.ifindex == node->nic_ifindex && pkt->l3_size > node->nic_mtu)\n"


def _numbered(which: str, statement: str) -> str:
    """Something done to echo requests and replies of some numbers, before the TTL is looked at."""
    return (
        "	{ __be16 number; u32 l4 = 14 + (pkt->family == 2 ? 20 : 40);\n"
        f"	if (!bpf_skb_load_bytes(skb, l4 + 6, &number, 2) && bpf_ntohs(number) {which})\n"
        f"		{statement}; }}\n{_TTL_NEXT}"
    )


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "local delivery left to the stack",
        patch("local_delivery.c", _PEER, "return to_stack(program);"),
        (
            Catch(t.B1 + "test_hr01_programs_attached_and_hit", "hits"),
            Catch(t.B1 + "test_hr02_netfilter_hooks", "hooks"),
            Catch(t.B1 + "test_hr02_stack_counters", "stack counters"),
            Catch(t.B1 + "test_hr03_conntrack", "conntrack"),
            Catch(t.B1 + "test_hr04_forward_policy_drop", "lost"),
            Catch(t.B1 + "test_hr43_host_route_deleted_and_rp_filter_on", "lost"),
            Catch(t.B1 + "test_hr46_backlog_enqueues_a_round_trip", "backlog enqueues"),
            Catch(t.B1 + "test_hr02_counted_on_every_cpu", "forward hook"),
        ),
    ),
    Mutant(
        "forwarding left to the stack",
        patch(
            "forward.c",
            "	count_fib(result);",
            "	count_fib(result); return to_stack(program);",
        ),
        (
            Catch(t.B2 + "test_hr02_netfilter_hooks", "hooks"),
            Catch(t.B2 + "test_hr03_conntrack", "conntrack"),
            Catch(t.B2 + "test_hr04_forward_policy_drop", "lost", {"node": "master"}),
            Catch(t.B2 + "test_hr05_netdev_drop_on_the_nic", "lost", {"hook": "egress"}),
        ),
    ),
    Mutant(
        "one packet of a hundred forwarded by the stack",
        patch("forward.c", _TTL_NEXT, _numbered("% 100 == 0", "return to_stack(program)")),
        (Catch(t.MANY_FAR, "hooks", {"count": 1000}),),
    ),
    Mutant(
        "one packet of ten thousand forwarded by the stack",
        patch("forward.c", _TTL_NEXT, _numbered("== 7777", "return to_stack(program)")),
        (Catch(t.THOUSANDS, "hooks"),),
    ),
    Mutant(
        "one packet of ten thousand sent twice",
        patch(
            "forward.c",
            _TTL_NEXT,
            _numbered("== 7777", "bpf_clone_redirect(skb, node->nic_ifindex, 0)"),
        ),
        (Catch(t.THOUSANDS, "packets on the wire"),),
    ),
    Mutant(
        "bpf-skip-fib leaves forwarding to the stack",
        patch(
            "forward.c",
            "	if (!out.ifindex ||",
            "	if (out.ifindex ||",
        ),
        (
            Catch(t.B2 + "test_hr01_programs_attached_and_hit", "packets forwarded"),
            Catch(t.B2 + "test_hr02_netfilter_hooks", "hooks"),
            Catch(t.MANY_FAR, "hooks", {"count": 1}),
        ),
        "bpf-skip-fib",
    ),
    Mutant(
        "delivery from the wire left to the stack",
        patch(
            "local_delivery.c",
            "	if (pkt->ttl <= 1)",
            "	if (program == PROGRAM_FROM_NETDEV) return to_stack(program);\n	if (pkt->ttl <= 1)",
        ),
        (
            Catch(t.B2 + "test_hr02_netfilter_hooks", "hooks"),
            Catch(t.B2 + "test_hr05_netdev_drop_on_the_nic", "lost", {"hook": "ingress"}),
            Catch(t.OTHERHOST, "replies"),
        ),
    ),
    Mutant(
        "cold neighbour left to the stack",
        patch(
            "forward.c",
            "	case FIB_NO_NEIGH:\n		break;",
            "		break;\n	case FIB_NO_NEIGH: return to_stack(program);",
        ),
        (Catch(t.NEIGH + "test_hr27_first_packet_to_a_cold_neighbour", "forward hook"),),
    ),
    Mutant(
        "bpf-redirect leaves local delivery to the stack",
        patch(
            "local_delivery.c",
            "return redirected(program, VERDICT_LOCAL, bpf_redirect(pod->ifindex, 0));",
            "return to_stack(program);",
        ),
        (
            Catch(t.B1 + "test_hr09_legs_as_legacy_bypass_as_bpf", "legs"),
            Catch(t.B2 + "test_hr09_bypass_as_bpf", "lost"),
        ),
        "bpf-redirect",
    ),
    Mutant(
        "TCP left to the stack",
        tuple(
            Patch(
                "from_container.c",
                f"	target = endpoints{family}.lookup(&pkt.dst{family});",
                "	if (pkt.protocol == IPPROTO_TCP) return to_stack(PROGRAM_FROM_CONTAINER);\n"
                f"	target = endpoints{family}.lookup(&pkt.dst{family});",
            )
            for family in (4, 6)
        ),
        (
            Catch(t.LEGS_TCP, "legs"),
            Catch(t.MTU + "test_hr33_gso_stream_arrives_intact", "forward hook"),
            Catch(t.B1 + "test_hr02_tcp_too", "forward hook"),
        ),
    ),
    Mutant(
        "every packet through bpf_redirect_neigh",
        patch("forward.c", "if (result == FIB_SUCCESS && mac_known(fib.dmac) &&", "if (0 &&"),
        (Catch(t.B2 + "test_hr01_programs_attached_and_hit", "some by bpf_redirect"),),
    ),
)
