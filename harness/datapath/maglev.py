# SPDX-License-Identifier: Apache-2.0
"""Maglev's table: every node fills it alike; a backend that goes moves few slots of the others.

D. E. Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, 3.4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from harness.datapath.services import Backend

#: Slots of a service: a prime number, a hundred times as many as a service of ten backends needs.
SLOTS = 1021


def _number(backend: Backend, use: str) -> int:
    digest = hashlib.sha256(f"{use} {backend.address} {backend.port}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def _places(backend: Backend, slots: int) -> Iterator[int]:
    """The slots that a backend would like, the best first: all, as their number is prime."""
    offset, skip = _number(backend, "offset") % slots, _number(backend, "skip") % (slots - 1) + 1
    return ((offset + turn * skip) % slots for turn in range(slots))


def table(backends: Sequence[Backend], slots: int = SLOTS) -> list[Backend]:
    """Whose each slot is.

    Args:
        backends: In any order: the table is the same.
        slots: A prime number.
    """
    ordered = sorted(backends, key=lambda each: (each.address, each.port))
    wishes = [_places(each, slots) for each in ordered]
    found: dict[int, Backend] = {}
    turn = 0
    while ordered and len(found) < slots:
        whose = turn % len(ordered)
        found[next(place for place in wishes[whose] if place not in found)] = ordered[whose]
        turn += 1
    return [found[place] for place in sorted(found)]
