# SPDX-License-Identifier: Apache-2.0
"""Mutation testing as it is asked for: which sites, and how many of their mutants are caught."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from harness.datapath.bpf import PARTS
from harness.plumbing.errors import UnknownNameError
from testbeds.mutants.mechanical import coverage
from testbeds.mutants.mechanical.equivalent import EXCUSED
from testbeds.mutants.mechanical.memory import CAUGHT, HUNG, NO_PROGRAM, SAME, SURVIVED, Outcome
from testbeds.mutants.mechanical.site import Site
from testbeds.mutants.mechanical.sites import sites


def all_sites(of: str = "") -> list[Site]:
    """Every site of the datapath's programs, or of one part.

    Raises:
        UnknownNameError: There is no such part.
    """
    if of and of not in PARTS:
        raise UnknownNameError(f"--of {of!r} is no part of bpf/", f"use one of {', '.join(PARTS)}")
    return [site for part in PARTS if of in ("", part) for site in sites(part, coverage.read(part))]


def chosen(found: Sequence[Site], sample: int | None, seed: int) -> list[Site]:
    """As many as asked for, drawn by the seed, in the order of the source."""
    if sample is None or sample >= len(found):
        return list(found)
    drawn = random.Random(seed).sample(range(len(found)), sample)
    return [found[number] for number in sorted(drawn)]


def counted(outcomes: Sequence[Outcome]) -> tuple[int, list[Outcome]]:
    """How many are caught, and who survives without an excuse."""
    caught = sum(each.outcome in (CAUGHT, HUNG) for each in outcomes)
    survivors = [e for e in outcomes if e.outcome == SURVIVED and e.site not in EXCUSED]
    return caught, survivors


def summary(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Who survives, and the share of what is caught of what counts."""
    caught, survivors = counted(outcomes)
    excused = [each for each in outcomes if each.outcome == SURVIVED and each.site in EXCUSED]
    for each in survivors:
        yield f"survived: {each.where}"
    for each in excused:
        yield f"survived: {each.where} ({EXCUSED[each.site]})"
    total = caught + len(survivors)
    share = f"{100 * caught / total:.1f} %" if total else "nothing"
    none, same = (sum(each.outcome == name for each in outcomes) for name in (NO_PROGRAM, SAME))
    yield (
        f"{len(outcomes)} mutants: {caught} of {total} that count are caught ({share});"
        f" {len(excused)} survivors are equivalent or for later, {same} compile to the same"
        f" program, {none} to none"
    )
