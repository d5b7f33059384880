# SPDX-License-Identifier: Apache-2.0
"""Mutants: neighbours."""

from __future__ import annotations

from harness.bpf.source import Patch
from testbeds.mutants import targets as t
from testbeds.mutants.mutant import Catch, Mutant, patch

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "cold neighbour dropped",
        patch(
            "forward.c",
            "	case FIB_NO_NEIGH:\n		break;",
            "		break;\n	case FIB_NO_NEIGH: return drop(program, DROP_FIB);",
        ),
        (Catch(t.NEIGH + "test_hr27_first_packet_to_a_cold_neighbour", "lost"),),
    ),
    Mutant(
        "cold neighbour sent to without a MAC",
        (
            Patch(
                "forward.c",
                "if (result == FIB_SUCCESS && mac_known(fib.dmac) &&",
                "if (result >= 0 &&",
            ),
            Patch(
                "forward.c",
                "	if (!use || (use->nexthop == nexthop && now - use->jiffies < REFRESH_JIFFIES))",
                "	if (1)",
            ),
        ),
        (Catch(t.NEIGH + "test_hr29_neighbour_that_never_answers", "legs"),),
    ),
    Mutant(
        "failed neighbour sent to without a MAC",  # as kernels without NUD_VALID's check did
        (
            Patch(
                "forward.c",
                "if (result == FIB_SUCCESS && mac_known(fib.dmac) &&",
                "if (result >= 0 &&",
            ),
            Patch(
                "forward.c", "#define REFRESH_JIFFIES	64", "#define REFRESH_JIFFIES	(1 << 30)"
            ),
            Patch("maps.c", "BPF_PERCPU_ARRAY(neighbour_used,", "BPF_ARRAY(neighbour_used,"),
        ),
        (Catch(t.NEIGH + "test_hr29_failed_neighbour_is_never_sent_to", "sent to"),),
    ),
    Mutant(
        "neighbours in use never refreshed",
        patch(
            "forward.c",
            "	if (!use || (use->nexthop == nexthop && now - use->jiffies < REFRESH_JIFFIES))",
            "	if (1)",
        ),
        (Catch(t.NEIGH + "test_hr28_next_hop_moves_silently", "MACs"),),
    ),
    Mutant(
        "neighbours in use refreshed once only",
        patch("forward.c", " && now - use->jiffies < REFRESH_JIFFIES))", "))"),
        (Catch(t.NEIGH + "test_hr28_next_hop_moves_silently", "MACs after the second move"),),
    ),
    Mutant(
        "next hops of one slot taken for one",
        patch("forward.c", "(use->nexthop == nexthop && now -", "(now -"),
        (Catch(t.NEIGH + "test_hr28_next_hops_that_share_a_slot", "in use"),),
    ),
    Mutant(
        "next hops told apart by their address alone",
        (
            Patch("forward.c", "nexthop_of(&fib) ^ (fib.ifindex << 16)", "nexthop_of(&fib)"),
            Patch(
                "forward.c", "#define REFRESH_JIFFIES	64", "#define REFRESH_JIFFIES	(1 << 30)"
            ),
            Patch("maps.c", "BPF_PERCPU_ARRAY(neighbour_used,", "BPF_ARRAY(neighbour_used,"),
        ),
        (Catch(t.NEIGH + "test_hr28_next_hops_that_share_an_address", "in use"),),
    ),
    Mutant(
        "next hop's MAC remembered from the first packet",
        (
            Patch(
                "maps.c", "BPF_ARRAY(config,", "BPF_ARRAY(first_mac, u64, 1);\nBPF_ARRAY(config,"
            ),
            Patch(
                "forward.c",
                "		if (write_macs(skb, fib.dmac, fib.smac))",
                "		u64 *kept = first_mac.lookup(&zero);\n"
                "		if (kept && !*kept) __builtin_memcpy(kept, fib.dmac, 6);\n"
                "		if (!kept || write_macs(skb, (u8 *)kept, fib.smac))",
            ),
            Patch(
                "forward.c",
                "	if (!use || (use->nexthop == nexthop && now - use->jiffies < REFRESH_JIFFIES))",
                "	if (1)",
            ),
        ),
        (
            Catch(t.NEIGH + "test_hr28_next_hop_announces_another_mac", "MACs"),
            Catch(t.NEXT_HOPS, "MACs"),
        ),
    ),
)
