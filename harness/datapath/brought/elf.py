# SPDX-License-Identifier: Apache-2.0
"""A datapath of ELF objects: the tables `[[attach]]` and `[[map]]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from harness.bpf.elf import ElfFile, MapSpec
from harness.bpf.elf_programs import check_alike
from harness.datapath.brought import filling
from harness.datapath.brought.description import Described, Description
from harness.datapath.brought.elf_installed import InstalledElf
from harness.datapath.brought.filling import Filling
from harness.datapath.brought.placeholders import Template, check
from harness.datapath.brought.table import Table
from harness.datapath.claims import ClaimError
from harness.datapath.settings import NodeSettings
from harness.plumbing.trusted import TrustedDirectory
from harness.topology import Node

_LIMIT = 64 << 20
_PLACES, _DIRECTIONS, _HOOKS = ("lxc", "uplink"), ("ingress", "egress"), ("tcx", "clsact", "netkit")
_ATTACH = ("object", "program", "at", "direction", "hook", "variables")


@dataclass(frozen=True)
class Attach:
    """A table `[[attach]]`: a program at a place of every node.

    Attributes:
        object: The object, as the description has it.
        file: The same, read.
        program: The program's name.
        at: `lxc` or `uplink`: every such device.
        direction: `ingress` or `egress`.
        hook: One of `harness.attach.HOOKS`.
        variables: Name → what is written to it, and its size; sorted.
    """

    object: str
    file: ElfFile
    program: str
    at: str
    direction: str
    hook: str
    variables: tuple[tuple[str, Template, int], ...]


@dataclass(frozen=True)
class Brought(Described):
    """A datapath whose programs somebody else compiled.

    Attributes:
        description: What its file says.
        attach: What is attached, in this order.
        fillings: What is written into maps.
    """

    description: Description
    attach: tuple[Attach, ...]
    fillings: tuple[Filling, ...]

    @property
    def needs(self) -> frozenset[str]:
        """What it says that it needs of the kernel, and its hooks."""
        return self.description.needs | {entry.hook for entry in self.attach}

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that it was read from, without links."""
        objects = dict.fromkeys(Path(entry.file.name) for entry in self.attach)
        return (self.description.path.resolve(), *objects)

    @property
    def files(self) -> dict[str, str]:
        """Object → its sha256."""
        return {entry.object: entry.file.sha256 for entry in self.attach}

    def install(self, node: Node, settings: NodeSettings) -> InstalledElf:
        """Load the programs with the node's constants, fill the maps and attach."""
        del settings  # a node that got here has none that such programs do not serve
        return InstalledElf(self, node)


def from_tables(
    description: Description, attach: list[Table], maps: list[Table], directory: TrustedDirectory
) -> Brought:
    """The datapath that the tables describe.

    Raises:
        DescriptionError: A table is wrong, or names an object that is missing or not trusted.
        BuildError: An object is none, or its maps cannot be shared.
        ClaimError: Its programs are at another hook than it claims.
    """
    files: dict[str, ElfFile] = {}
    entries = tuple(_attach(table, directory, files) for table in attach)
    if description.claims.policy:
        raise ClaimError(
            f"{description.path}: policy is claimed, but nobody tells an ELF object its rules",
            "leave the claim out, or describe an agent",
        )
    _check_hook(description, entries)
    specs = _shared(files)
    fillings = tuple(filling.from_table(table, specs) for table in maps)
    return Brought(description, entries, fillings)


def _attach(table: Table, directory: TrustedDirectory, files: dict[str, ElfFile]) -> Attach:
    name = table.name("object")
    if name not in files:
        files[name] = _open(table, name, directory)
    file, contents = files[name], files[name].contents
    program = table.name("program")
    if program not in contents.programs:
        known = ", ".join(contents.programs) or "none"
        table.fail("program", f"{name} has no program {program!r}", f"it has {known}")
    at = table.choice("at", _PLACES)
    direction, hook = table.choice("direction", _DIRECTIONS), table.choice("hook", _HOOKS)
    variables = table.table("variables")
    filled = []
    for variable, value in sorted(variables.rest().items()):
        size = contents.constants.get(variable)
        if size is None:
            known = ", ".join(contents.constants) or "none"
            variables.fail(variable, f"{name} has no such constant", f"it has {known}")
        filled.append((variable, check(variables, variable, value, size, at), size))
    table.end(_ATTACH)
    return Attach(name, file, program, at, direction, hook, tuple(filled))


def _open(table: Table, name: str, directory: TrustedDirectory) -> ElfFile:
    try:
        found = directory.read(name, _LIMIT)
    except OSError as error:
        table.fail("object", f"{name} cannot be used ({error.strerror})")
    return ElfFile(str(found.path), found.content, found.sha256)


def _check_hook(description: Description, entries: tuple[Attach, ...]) -> None:
    for number, entry in zip(count(1), entries, strict=False):
        if entry.at == "lxc" and entry.hook != description.claims.attaches:
            raise ClaimError(
                f"{description.path}: [[attach]] {number}: hook is {entry.hook}, but claim attaches"
                f" is {description.claims.attaches}", "make them agree",
            )  # fmt: skip


def _shared(files: Mapping[str, ElfFile]) -> dict[str, MapSpec]:
    """Every map that objects share, by name; two of one name are alike."""
    specs: dict[str, MapSpec] = {}
    for file in files.values():
        for spec in file.contents.maps.values():
            if spec.shared:
                check_alike(file.name, spec, specs.setdefault(spec.name, spec))
    return specs
