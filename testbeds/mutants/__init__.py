# SPDX-License-Identifier: Apache-2.0
"""Mutated datapaths, and the assertion that must catch each: the suite's negative controls.

An assertion that nobody has seen fail does not count. Each mutant is a named patch of the
sources in bpf/; each of its catches is a test of the suite and a piece of the line on which
that test must fail, for that reason and no other. One file a subject, registered here.
"""

from __future__ import annotations

from testbeds.mutants import (
    counters,
    delivery,
    gateway,
    impostors,
    lookup,
    mtu,
    neighbours,
    rewrite,
    router,
    stack,
)
from testbeds.mutants.mutant import Catch, Mutant

MUTANTS: tuple[Mutant, ...] = (
    *stack.MUTANTS,
    *delivery.MUTANTS,
    *rewrite.MUTANTS,
    *lookup.MUTANTS,
    *neighbours.MUTANTS,
    *mtu.MUTANTS,
    *router.MUTANTS,
    *gateway.MUTANTS,
    *counters.MUTANTS,
    *impostors.MUTANTS,
)

__all__ = ["MUTANTS", "Catch", "Mutant"]
