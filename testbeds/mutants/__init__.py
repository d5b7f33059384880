# SPDX-License-Identifier: Apache-2.0
"""Mutated datapaths, and the assertion that must catch each: the suite's negative controls.

An assertion that nobody has seen fail does not count. Each mutant is a named patch of the
sources in bpf/; each of its catches is a test of the suite and the name of the assertion on which
that test must fail, for that reason and no other. One file a subject, registered here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from harness import datapath as datapaths
from harness.datapath import Datapath
from testbeds.mutants import (
    addresses,
    answers,
    checksums,
    claims,
    counters,
    delivery,
    devices,
    fields,
    gateway,
    hooks,
    impostors,
    instrument,
    lookup,
    mtu,
    neighbours,
    netkit,
    packets,
    policy,
    protocols,
    rewrite,
    router,
    services,
    serving,
    sources,
    stack,
    together,
)
from testbeds.mutants.assertions import suites
from testbeds.mutants.mutant import Catch, Mutant

MUTANTS: tuple[Mutant, ...] = (
    *stack.MUTANTS,
    *delivery.MUTANTS,
    *rewrite.MUTANTS,
    *checksums.MUTANTS,
    *lookup.MUTANTS,
    *devices.MUTANTS,
    *neighbours.MUTANTS,
    *mtu.MUTANTS,
    *router.MUTANTS,
    *addresses.MUTANTS,
    *gateway.MUTANTS,
    *sources.MUTANTS,
    *fields.MUTANTS,
    *answers.MUTANTS,
    *counters.MUTANTS,
    *impostors.MUTANTS,
    *claims.MUTANTS,
    *hooks.MUTANTS,
    *netkit.MUTANTS,
    *services.MUTANTS,
    *serving.MUTANTS,
    *together.MUTANTS,
    *policy.MUTANTS,
    *packets.MUTANTS,
    *protocols.MUTANTS,
)


def mutated(mutant: Mutant) -> Datapath:
    """The datapath with the mutant's fault, and with the claims that it is tested by."""
    datapath: Any = datapaths.find(mutant.datapath)
    own = datapaths.find(mutant.posing_as or mutant.datapath).claims
    parts = {"patches": mutant.patches, "changes": mutant.changes, "nft": mutant.nft}
    changes: dict[str, Any] = {name: part for name, part in parts.items() if part}
    changes["claims"] = dataclasses.replace(own, **mutant.claims)
    changed: Datapath = dataclasses.replace(datapath, **changes)
    return changed


def catches() -> Iterator[Catch]:
    """Every assertion that a control has seen to fail."""
    for mutant in (*MUTANTS, *instrument.MISUSE):
        yield from mutant.catches
    for caught in instrument.BROKEN.values():
        yield from caught


def never_failed() -> dict[str, list[str]]:
    """Test → names of its assertions that no control has seen to fail."""
    seen = {(catch.test, catch.assertion) for catch in catches()}
    left = {
        test: [name for name in names if (test, name) not in seen]
        for test, names in suites().items()
    }
    return {test: names for test, names in left.items() if names}


__all__ = ["MUTANTS", "Catch", "Mutant", "catches", "mutated", "never_failed", "suites"]
