# SPDX-License-Identifier: Apache-2.0
"""Mutants: where programs hang, beside those of others."""

from __future__ import annotations

from testbeds.mutants import targets as t
from testbeds.mutants.mutant import Catch, Mutant, patch

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "by TCX, what goes up the stack goes on to the next program",
        patch(
            "count.c",
            "	count_hit(program, VERDICT_STACK);\n	return TC_ACT_OK;",
            "	count_hit(program, VERDICT_STACK);\n	return TC_ACT_UNSPEC;",
        ),
        (Catch(t.HOOKS + "test_hr78_clsact_behind_a_pass_never_runs", "legs"),),
        "bpf-tcx",
    ),
)
