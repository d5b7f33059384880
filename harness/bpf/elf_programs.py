# SPDX-License-Identifier: Apache-2.0
"""Objects loaded together for one node: their programs, and the maps that they share."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from harness.bpf import syscall
from harness.bpf.elf import ElfFile, MapSpec, OpenObject
from harness.bpf.elf_maps import Map
from harness.bpf.libbpf import libbpf
from harness.plumbing.closable import Closable
from harness.plumbing.errors import BuildError


@dataclass(frozen=True)
class Load:
    """An object as it is to be loaded.

    Attributes:
        file: The object.
        constants: Variables of `.rodata`, sorted by name, and their bytes.
        programs: Those that are to be attached.
    """

    file: ElfFile
    constants: tuple[tuple[str, bytes], ...]
    programs: frozenset[str]


class ProgramSet(Closable):
    """Loaded objects; maps of one name are one map.

    Attributes:
        loads: What was loaded.
        maps: Name → map, as far as they can be shared.
    """

    def __init__(self, loads: tuple[Load, ...]) -> None:
        """Load.

        Raises:
            BuildError: The kernel refuses a program or a map, or two maps of one name differ.
        """
        self.loads = loads
        self.maps: dict[str, Map] = {}
        self._own: list[Map] = []
        self._open: list[OpenObject] = []
        self._fds: dict[tuple[Load, str], int] = {}
        try:
            for load in loads:
                self._add(load)
        except BaseException:
            self.close()
            raise

    def add(self, load: Load) -> None:
        """Load one more, unless it is loaded; it shares the maps of the others.

        Raises:
            BuildError: As when the set was made.
        """
        if load not in self.loads:
            self._add(load)
            self.loads += (load,)

    def _add(self, load: Load) -> None:
        opened = OpenObject(load.file)
        self._open.append(opened)
        initial = {}
        maps = list(opened.maps())
        for spec, handle in maps:
            known = self.maps.get(spec.name) if spec.shared else None
            if known is not None:
                check_alike(load.file.name, spec, known.spec)
                if libbpf().bpf_map__reuse_fd(handle, known.fd) < 0:
                    raise BuildError(f"object {load.file.name}: map {spec.name} cannot be shared")
            if spec.internal and ".rodata" not in spec.name:
                address, size = opened.initial_value(handle)
                initial[spec.name] = ctypes.string_at(address, size) if address else b""
        opened.set_constants(dict(load.constants))
        opened.load(load.programs)
        for spec, handle in maps:
            if not (spec.shared and spec.name in self.maps):
                found = Map(spec, libbpf().bpf_map__fd(handle), initial.get(spec.name, b""))
                self._own.append(found)
                if spec.shared:
                    self.maps[spec.name] = found
        for name, _, handle in opened.programs():
            if name in load.programs:
                self._fds[load, name] = libbpf().bpf_program__fd(handle)

    def fd(self, load: Load, program: str) -> int:
        """The descriptor of a loaded program."""
        return self._fds[load, program]

    def tags(self) -> dict[str, str]:
        """Program → tag; constants are no part of it, so one for all loads."""
        return {name: syscall.program_tag(fd) for (_, name), fd in self._fds.items()}

    def reset(self) -> bool:
        """Make every map as it was when it was made; whether that could be done."""
        return not [own for own in self._own if not own.reset()]

    def close(self) -> None:
        """Unload what is attached nowhere."""
        while self._open:
            self._open.pop().close()
        self._fds.clear()
        self.maps.clear()
        self._own.clear()


def check_alike(name: str, spec: MapSpec, known: MapSpec) -> None:
    """Refuse a map that differs from another of its name.

    Raises:
        BuildError: It does.
    """
    if spec != known:
        raise BuildError(
            f"object {name}: map {spec.name} ({spec}) cannot be shared with the one"
            f" of that name on the node ({known})", "rename one, or make them alike",
        )  # fmt: skip
