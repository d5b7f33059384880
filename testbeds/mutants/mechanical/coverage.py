# SPDX-License-Identifier: Apache-2.0
"""Which tests execute which lines of bpf/: the programs count that themselves.

In an instrumented source every simple statement, and every condition of a block, first counts
itself in a map.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from harness.bpf.module import Module
from harness.bpf.source import Patch, read_part
from harness.datapath.bpf import PARTS
from testbeds.mutants.mechanical.site import Site
from testbeds.mutants.mechanical.sites import conditions, masked, statements

_MOST = 2048
_MAP = "covered"
_PRELUDE = f"""
BPF_ARRAY({_MAP}, u64, {_MOST});
static __always_inline int cover(u32 place)
{{
	u64 *count = {_MAP}.lookup(&place);

	if (count)
		*count += 1;
	return 0;
}}
"""


@dataclass(frozen=True)
class Place:
    """What counts itself.

    Attributes:
        file: A part of bpf/.
        start: Where it begins, in characters.
        end: Where it ends.
        whole: Whether it is a statement; otherwise a condition.
    """

    file: str
    start: int
    end: int
    whole: bool


def read(part: str) -> str:
    """The source of a part."""
    return read_part(part)


@cache
def places() -> list[Place]:
    """All of them; a place's index is its key in the map."""
    return [place for part in PARTS for place in _in(part)]


def _in(part: str) -> Iterator[Place]:
    code = masked(read(part))
    whole = [Place(part, start, start + len(old), True) for start, old in statements(code)]
    blocks = [
        Place(part, start, start + len(old), False)
        for start, old in conditions(code)
        if not any(place.start <= start < place.end for place in whole)
    ]
    yield from sorted([*whole, *blocks], key=lambda place: place.start)


def instrumented() -> tuple[Patch, ...]:
    """The patches that make the programs count."""
    patches = []
    for part in PARTS:
        text = new = read(part)
        for key, place in reversed(list(enumerate(places()))):
            if place.file != part:
                continue
            old = text[place.start : place.end]
            counted = f"{{ cover({key}); {old} }}" if place.whole else f"(cover({key}) || {old})"
            new = new[: place.start] + counted + new[place.end :]
        prelude = _PRELUDE if part == PARTS[0] else ""
        patches.append(Patch(part, text, prelude + new))
    return tuple(patches)


def taken(module: Module) -> set[int]:
    """The keys of what was executed since, and a clean map for whoever is next."""
    table = module.table(_MAP)
    found = set()
    for key in range(len(places())):
        if table[ctypes.c_int(key)].value:
            found.add(key)
            table[ctypes.c_int(key)] = ctypes.c_uint64(0)
    return found


def key_of(site: Site) -> int | None:
    """The key of the place that a site is in, or stands beside in its function; None: in none."""
    text = read(site.file)
    if not text[text.rfind("\n", 0, site.start) + 1 :].startswith("\t"):
        return None  # a directive, a map
    first, last = text.rfind("\n{", 0, site.start), text.find("\n}", site.start)
    beside = {key: place for key, place in enumerate(places())
              if place.file == site.file and first < place.start < last}  # fmt: skip
    for key, place in beside.items():
        if place.end > site.start:  # a declaration's value serves what comes behind it
            return key
    return max(beside, default=None)
