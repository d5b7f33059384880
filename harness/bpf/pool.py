# SPDX-License-Identifier: Apache-2.0
"""Loaded modules that nobody uses at the moment. Floor 1.

A compile takes 0.7 s, a fresh testbed 15 ms: a module outlives its testbed and serves the next one.
Never two users at once: each has maps of its own. Of patched sources, only the last is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.bpf.module import Module, Source

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
    return idle.pop() if idle else Module(source, programs)


def give_back(module: Module) -> None:
    """Keep a module for the next who asks for its source."""
    if module.source.patches:
        _unload(lambda other: bool(other.patches) and other != module.source)
    _idle.setdefault(module.source, []).append(module)


def unload_idle() -> None:
    """Unload every module that nobody uses."""
    _unload(lambda _: True)


def _unload(which: Callable[[Source], bool]) -> None:
    for source in [source for source in _idle if which(source)]:
        for module in _idle.pop(source):
            module.close()
