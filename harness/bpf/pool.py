# SPDX-License-Identifier: Apache-2.0
"""Compiled sources, and loaded modules that nobody uses at the moment.

A compile takes a second, a fresh testbed 15 ms: what is compiled serves every module of its source,
and a module outlives its testbed and serves the next one. Never two users at once: each has maps of
its own. Of patched sources, only the last two are kept: what two tests take turns with. Of objects
of others, which are loaded with a testbed's own constants, the sets last used are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.bpf.compiled import Compiled
from harness.bpf.elf_programs import Load, ProgramSet
from harness.bpf.module import Module
from harness.bpf.source import Source
from harness.plumbing.signals import held

_compiled: dict[Source, Compiled] = {}
_idle: dict[Source, list[Module]] = {}
_idle_sets: list[ProgramSet] = []  # the last used one last
_MOST_IDLE = 64  # loaded objects in all


def take(source: Source, programs: Mapping[str, int]) -> Module:
    """A module of that source, loaded now or before; what its maps hold is its last user's.

    Args:
        source: What it is built from.
        programs: Name → BPF program type; one source is always asked for with the same.

    Raises:
        BuildError: It does not compile, or the verifier refuses it.
    """
    idle = _idle.get(source)
    if idle:
        return idle.pop()
    return Module(compiled(source), programs)


def compiled(source: Source) -> Compiled:
    """A source, compiled now or before; `unload_idle` lets go of it.

    Raises:
        BuildError: It does not compile.
    """
    if source not in _compiled:
        if source.patches:
            _forget([other for other in _compiled if other.patches][:-1])
        with held():  # a second, or more: long enough for an interrupt to lose patience
            _compiled[source] = Compiled(source)
    return _compiled[source]


def give_back(module: Module) -> None:
    """Keep a module for the next who asks for its source, unless that was forgotten meanwhile."""
    idle = _idle.setdefault(module.source, []) if module.source in _compiled else None
    if idle is None:
        module.close()
    elif module not in idle:  # else two would get it
        idle.append(module)


def take_set(loads: tuple[Load, ...]) -> ProgramSet:
    """Objects loaded now or before, their maps as when they were made.

    Raises:
        BuildError: The kernel refuses one.
    """
    for found in reversed(_idle_sets):
        if found.loads == loads:
            _idle_sets.remove(found)
            if found.reset():
                return found
            found.close()
            break
    with held():  # somebody's large object may take a second
        return ProgramSet(loads)


def give_back_set(used: ProgramSet) -> None:
    """Keep a set for the next who asks for these objects with these constants."""
    if used not in _idle_sets:  # else two would get it
        _idle_sets.append(used)
    while sum(len(idle.loads) for idle in _idle_sets) > _MOST_IDLE:
        _idle_sets.pop(0).close()


def forget_set(loads: tuple[Load, ...]) -> None:
    """Unload idle sets of these objects, so that they are loaded anew, elsewhere in memory."""
    for idle in [idle for idle in _idle_sets if idle.loads == loads]:
        _idle_sets.remove(idle)
        idle.close()


def unload_idle() -> None:
    """Unload every module and every set that nobody uses."""
    _forget(list(_compiled))
    while _idle_sets:
        _idle_sets.pop().close()


def _forget(sources: Iterable[Source]) -> None:
    """Unload the idle modules of some sources, and keep no more of them."""
    for source in sources:
        for module in _idle.pop(source, []):
            module.close()
        _compiled.pop(source).release()
