# SPDX-License-Identifier: Apache-2.0
"""ELF programs on a node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.attach import Listed, Place, Placed, all_attachments
from harness.bpf import pool
from harness.bpf.elf import ElfFile
from harness.bpf.elf_programs import Load, ProgramSet
from harness.datapath.base import Counters
from harness.datapath.brought import placeholders
from harness.datapath.brought.node import prepare, uplinks
from harness.datapath.brought.placeholders import Filled, encode
from harness.plumbing.errors import HarnessError
from harness.topology import Node

if TYPE_CHECKING:
    from harness.datapath.brought.elf import Attach, Brought

Constants = tuple[tuple[str, bytes], ...]
Wanted = tuple["Attach", str, Constants]


class InstalledElf:
    """The programs on a node.

    Attributes:
        name: The datapath's name.
        node: The node.
    """

    def __init__(self, datapath: Brought, node: Node) -> None:
        self.name = datapath.name
        self.node = node
        self._datapath = datapath
        self._needs = datapath.description.testbed
        self._placed = Placed(node.ns)
        self._written: dict[str, set[bytes]] = {}
        prepare(node, self._needs)
        self._loads = _loads(self._wanted())
        self._set: ProgramSet | None = pool.take_set(tuple(self._loads.values()))
        try:
            self._fill()
            self._attach()
        except BaseException:
            self.remove()
            raise

    def _wanted(self) -> list[Wanted]:
        return [
            (entry, device, _constants(entry, values))
            for entry in self._datapath.attach
            for device, values in self._places(entry.at)
        ]

    def _places(self, at: str) -> list[tuple[str, dict[str, Filled]]]:
        """Every device of a kind, and what is filled in there."""
        node = self.node
        if at == "lxc":
            return [(pod.lxc, placeholders.of_pod(node, pod)) for pod in node.pods]
        devices = uplinks(node, self._needs)
        return [(device, placeholders.of_uplink(node, device)) for device in devices]

    @property
    def _loaded(self) -> ProgramSet:
        if self._set is None:
            raise RuntimeError(f"{self.name} was removed from {self.node}")
        return self._set

    def sync(self) -> None:
        """Make maps, constants and hooks what the node is now; what others wrote there stays."""
        prepare(self.node, self._needs)
        self.node.await_settled()
        self._fill()
        self._attach()

    def _attach(self) -> None:
        """Have each program on its devices, with their constants: once more where they changed."""
        wanted, places = self._wanted(), []
        self._loads = _loads(wanted)
        for load in self._loads.values():
            self._loaded.add(load)
        for entry, device, constants in wanted:
            fd = self._loaded.fd(self._loads[entry.file, constants], entry.program)
            ifindex = self.node.ifindex(device)
            places.append(Place(entry.hook, entry.direction, ifindex, fd, entry.program))
        self._placed.make(places)

    def _fill(self) -> None:
        wanted: dict[str, dict[bytes, bytes]] = {}
        for filling in self._datapath.fillings:
            rows = filling.rows(self.node, self._needs)
            wanted[filling.name] = wanted.get(filling.name, {}) | rows
        for name, rows in wanted.items():
            try:
                for key in self._written.get(name, set()) - rows.keys():
                    self._loaded.maps[name].delete(key)
                for key, value in rows.items():
                    self._loaded.maps[name].update(key, value)
            except OSError as error:
                raise HarnessError(
                    f"{self.name}: map {name} cannot be filled ({error.strerror})",
                    f"{len(rows)} entries are wanted",
                ) from None
            self._written[name] = set(rows)

    def await_ready(self) -> None:
        """Return when the gateway's addresses are in use; the programs forward at once."""
        self.node.await_settled()

    def counters(self) -> Counters:
        """Nothing: what its maps count is its own affair."""
        return Counters()

    def attachments(self) -> list[Listed]:
        """The programs on the node's hooks, as the kernel lists them."""
        return all_attachments(self.node.ns)

    def describe(self) -> str:
        """Name, version and program tags."""
        tags = " ".join(f"{name}={tag}" for name, tag in self._loaded.tags().items())
        return f"{self._datapath.description.title} ({tags})"

    def remove(self) -> None:
        """Detach, and give the programs back for the next testbed."""
        try:
            self._placed.close()
        finally:
            used, self._set = self._set, None
            if used is not None:
                pool.give_back_set(used)

    def reload(self) -> None:
        """Have the programs loaded anew, so that they lie elsewhere in the kernel's memory."""
        pool.forget_set(tuple(self._loads.values()))


def _constants(entry: Attach, values: dict[str, Filled]) -> Constants:
    return tuple((name, encode(template, values, size)) for name, template, size in entry.variables)


def _loads(wanted: list[Wanted]) -> dict[tuple[ElfFile, Constants], Load]:
    """An object once for all places where its constants are the same, in order."""
    programs: dict[tuple[ElfFile, Constants], set[str]] = {}
    for entry, _, constants in wanted:
        programs.setdefault((entry.file, constants), set()).add(entry.program)
    return {key: Load(*key, programs=frozenset(names)) for key, names in programs.items()}
