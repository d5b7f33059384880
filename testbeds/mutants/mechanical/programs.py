# SPDX-License-Identifier: Apache-2.0
"""The bundled datapaths' programs, built from a changed source; and whether they differ at all."""

from __future__ import annotations

from pathlib import Path

from harness.bpf import pool
from harness.bpf.source import Patch, Source
from harness.datapath import DATAPATHS
from harness.datapath.bpf import LOADED, PARTS, HostRouting
from harness.plumbing.errors import BuildError


def change(patches: tuple[Patch, ...]) -> None:
    """Have this process build every bundled datapath with patches, before any of its own."""

    def source(datapath: HostRouting) -> Source:
        changed = Source(PARTS, datapath.defines, (*patches, *datapath.patches))
        if datapath.patches:
            try:
                changed.text()
            except BuildError:  # a test's own patch is of that very place
                return Source(PARTS, datapath.defines, datapath.patches)
        return changed

    setattr(HostRouting, "source", property(source))  # noqa: B010 - mypy refuses the plain way


def digest(name: str) -> str:
    """Of a datapath's programs and maps as they are loaded: the same code has the same.

    Raises:
        BuildError: They do not compile, or the verifier refuses them.
    """
    datapath = DATAPATHS.find(name)
    if not isinstance(datapath, HostRouting):
        raise TypeError(f"{name} has no programs of bpf/")
    module = pool.take(datapath.source, LOADED)
    # A tag leaves out which maps are used: no change by rule exchanges any.
    facts = [f"{program} {tag}" for program, tag in module.tags().items()]
    for table in pool.compiled(datapath.source).map_names():
        made = Path(f"/proc/self/fdinfo/{module.table(table).map_fd}").read_text(encoding="ascii")
        sizes = [line for line in made.splitlines() if line.startswith(_SIZES)]
        facts.append(f"{table} {sizes}")
    pool.give_back(module)
    return "; ".join(facts)


_SIZES = ("map_type", "key_size", "value_size", "max_entries", "map_flags")
