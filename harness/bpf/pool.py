# SPDX-License-Identifier: Apache-2.0
"""Compiled sources, and loaded modules that nobody uses at the moment. Floor 1.

A compile takes a second, a fresh testbed 15 ms: what is compiled serves every module of its source,
and a module outlives its testbed and serves the next one. Never two users at once: each has maps of
its own. Of patched sources, only the last two are kept: what two tests take turns with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.bpf.compiled import Compiled
from harness.bpf.module import Module
from harness.bpf.source import Source
from harness.signals import held

_compiled: dict[Source, Compiled] = {}
_idle: dict[Source, list[Module]] = {}


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


def unload_idle() -> None:
    """Unload every module that nobody uses."""
    _forget(list(_compiled))


def _forget(sources: Iterable[Source]) -> None:
    """Unload the idle modules of some sources, and keep no more of them."""
    for source in sources:
        for module in _idle.pop(source, []):
            module.close()
        _compiled.pop(source).release()
