# SPDX-License-Identifier: Apache-2.0
"""Mutants: the lookup."""

from __future__ import annotations

from harness.bpf.source import Patch
from testbeds.mutants import targets as t
from testbeds.mutants.mutant import Catch, Mutant, patch

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "refusing routes left to the stack",
        patch(
            "forward.c",
            "		return drop(program, DROP_FIB);",
            "		return to_stack(program);",
        ),
        (
            Catch(t.FIB + "test_hr19_refusing_routes", "legs", {"kind": "prohibit"}),
            Catch(t.FIB + "test_hr19_refusing_routes", "drops", {"kind": "blackhole"}),
            Catch(t.FIB + "test_hr22_forwarding_off_on_the_lxc", "drops", families=(4,)),
            Catch(
                t.FIB + "test_hr22_forwarding_off_on_the_lxc",
                "lost",
                families=(6,),
            ),
        ),
    ),
    Mutant(
        "lookups counted under the next code",
        patch("forward.c", "	count_fib(result);", "	count_fib(result + 1);"),
        (
            Catch(t.FIB + "test_hr19_refusing_routes", "lookups", {"kind": "unreachable"}),
            Catch(t.FIB + "test_hr22_forwarding_off_on_the_lxc", "lookups"),
            Catch(t.NEIGH + "test_hr27_first_packet_to_a_cold_neighbour", "lookups"),
            Catch(t.NEIGH + "test_hr29_neighbour_that_never_answers", "lookups"),
        ),
    ),
    Mutant(
        "unknown destinations dropped",
        patch(
            "forward.c",
            "	case FIB_NOT_FWDED:	/*",
            "	case FIB_NOT_FWDED: return drop(program, DROP_FIB);	/*",
        ),
        (
            Catch(t.FIB + "test_hr21_no_route", "errors"),
            Catch(t.FIB + "test_hr20_address_of_the_node_that_is_no_pod", "lost"),
        ),
    ),
    Mutant(
        "the node's own addresses not known",
        tuple(
            Patch(
                "from_container.c",
                f"	target = endpoints{family}.lookup(&pkt.dst{family});\n",
                f"	target = endpoints{family}.lookup(&pkt.dst{family});\n"
                "	if (target && target->flags & ENDPOINT_HOST)\n"
                "		return drop(PROGRAM_FROM_CONTAINER, DROP_FIB);\n",
            )
            for family in (4, 6)
        ),
        (
            Catch(t.OWN_NODE, "legs"),
            Catch(t.D1 + "test_hr17_ttl_1_to_the_node_itself_is_answered", "lost"),
        ),
    ),
)
