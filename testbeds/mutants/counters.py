# SPDX-License-Identifier: Apache-2.0
"""Mutants: the counters."""

from __future__ import annotations

from testbeds.mutants import targets as t
from testbeds.mutants.mutant import Catch, Mutant, patch

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "hits not counted",
        patch("count.c", "	if (hit)\n		*hit += 1;", ""),
        (
            Catch(t.B1 + "test_hr01_programs_attached_and_hit", "hits"),
            Catch(t.B2 + "test_hr01_programs_attached_and_hit", "packets forwarded"),
        ),
    ),
    Mutant(
        "hits not counted on the first CPU",
        patch("count.c", "	if (hit)\n", "	if (hit && bpf_get_smp_processor_id())\n"),
        (Catch(t.B1 + "test_hr02_counted_on_every_cpu", "hits"),),
    ),
    Mutant(
        "lookups that succeed counted as without a neighbour",
        patch("forward.c", "count_fib(result);", "count_fib(result == 0 ? FIB_NO_NEIGH : result);"),
        (Catch(t.NEIGH + "test_hr28_next_hops_that_share_an_address", "lookups"),),
    ),
    Mutant(
        "what leaves the NIC counted twice",
        patch(
            "to_netdev.c",
            "	count_hit(PROGRAM_TO_NETDEV, VERDICT_PASS);",
            "	count_hit(PROGRAM_TO_NETDEV, VERDICT_PASS);\n" * 2,
        ),
        (Catch(t.B2 + "test_hr01_programs_attached_and_hit", "to_netdev hits"),),
    ),
)
