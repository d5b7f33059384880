# SPDX-License-Identifier: Apache-2.0
"""ELF objects: opened from memory, and what is in them.

Nothing here is pinned, and nothing is read from a file system: what was hashed is what is opened.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.bpf import syscall
from harness.bpf.btf import Btf, Member
from harness.bpf.libbpf import OpenOptions, heard, libbpf, refusal
from harness.plumbing.closable import Closable
from harness.plumbing.errors import BuildError

_RODATA = ".rodata"
_NAME_LENGTH = 15  # BPF_OBJ_NAME_LEN less the 0, uapi/linux/bpf.h
#: BPF_MAP_TYPE_PROG_ARRAY: libbpf fills it with an object's own programs.
_PROG_ARRAY = 3
_PER_CPU = (5, 6, 10)
_MAP_TYPES = {
    1: "hash", 2: "array", 3: "prog_array", 4: "perf_event_array", 5: "percpu_hash",
    6: "percpu_array", 9: "lru_hash", 10: "lru_percpu_hash", 11: "lpm_trie", 12: "array_of_maps",
    13: "hash_of_maps", 14: "devmap", 25: "devmap_hash", 27: "ringbuf",
}  # fmt: skip


@dataclass(frozen=True)
class MapSpec:
    """What a map is: two of one name that are equal can be shared.

    Attributes:
        name: Its name.
        kind: Of enum bpf_map_type.
        key_size: Bytes.
        value_size: Bytes.
        max_entries: How many entries it holds; 0: as many as there are CPUs.
        flags: BPF_F_*.
        internal: Whether it is a section of the object's data.
        key: The fields of a key that is a struct.
        value: The fields of a value that is a struct.
    """

    name: str
    kind: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    internal: bool
    key: Mapping[str, Member] = field(compare=False, repr=False)
    value: Mapping[str, Member] = field(compare=False, repr=False)

    @property
    def shared(self) -> bool:
        """Whether all objects of a node that have a map of this name have one map."""
        return not self.internal and self.kind != _PROG_ARRAY

    @property
    def per_cpu(self) -> bool:
        """Whether an entry has a value for each CPU."""
        return self.kind in _PER_CPU

    def __str__(self) -> str:
        kind = _MAP_TYPES.get(self.kind, f"type {self.kind}")
        sizes = f"key {self.key_size}, value {self.value_size}, {self.max_entries} entries"
        return f"{kind}, {sizes}" + (f", flags {self.flags:#x}" if self.flags else "")


@dataclass(frozen=True)
class ElfFile:
    """An object's bytes.

    Attributes:
        name: What messages call it.
        content: Its bytes.
        sha256: Of these; two objects are the same if theirs is.
    """

    name: str = field(compare=False)
    content: bytes = field(compare=False, repr=False)
    sha256: str

    @cached_property
    def contents(self) -> Contents:
        """What is in it; opened once.

        Raises:
            BuildError: libbpf cannot open it; the message has libbpf's last line.
        """
        try:
            with OpenObject(self) as opened:
                return Contents(
                    {name: kind for name, kind, _ in opened.programs()},
                    {spec.name: spec for spec, _ in opened.maps()},
                    {name: member.size for name, (_, member) in opened.constants().items()},
                )
        except (ValueError, IndexError) as error:
            what = f"object {self.name}: its type information cannot be read ({error})"
            raise BuildError(what, "compile it with -g") from None


@dataclass(frozen=True)
class Contents:
    """What an object holds.

    Attributes:
        programs: Name → type, of enum bpf_prog_type; 0: its section tells none.
        maps: Name → map.
        constants: Variables of `.rodata` and their sizes, bytes.
    """

    programs: Mapping[str, int]
    maps: Mapping[str, MapSpec]
    constants: Mapping[str, int]


def last_line(said: list[str]) -> str:
    """The last thing that libbpf said which tells something."""
    lines = [line.strip() for text in said for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("libbpf: ") if lines else ""


class OpenObject(Closable):
    """An object that libbpf has open, and later loaded.

    Args:
        file: The object.

    Raises:
        BuildError: libbpf cannot open it.
    """

    def __init__(self, file: ElfFile) -> None:
        self.file = file
        self._bpf = libbpf()
        stem = os.path.basename(file.name).split(".")[0]  # noqa: PTH119  # a name for the kernel
        name = "".join(letter if letter.isalnum() else "_" for letter in stem)
        options = OpenOptions(ctypes.sizeof(OpenOptions), name[:_NAME_LENGTH].encode())
        with heard() as said:
            image = (ctypes.c_char * len(file.content)).from_buffer_copy(file.content)
            self._object = self._bpf.bpf_object__open_mem(image, len(image), ctypes.byref(options))
            why = refusal()
        if not self._object:
            raise BuildError(
                f"object {file.name}: libbpf cannot open it ({last_line(said) or why})",
                "check that it is an ELF object for BPF", log="".join(said),
            )  # fmt: skip
        try:
            self._btf = self._types()
            for _, handle in self.maps():
                self._bpf.bpf_map__set_pin_path(handle, None)
        except BaseException:
            self.close()
            raise

    def _types(self) -> Btf | None:
        """Its types, if it has any; ValueError: they cannot be read."""
        types = self._bpf.bpf_object__btf(self._object)
        if not types:
            return None
        size = ctypes.c_uint32()
        raw = self._bpf.btf__raw_data(types, ctypes.byref(size))
        return Btf(ctypes.string_at(raw, size.value))

    def programs(self) -> Iterator[tuple[str, int, Any]]:
        """Each program's name, type and handle."""
        for handle in self._each(self._bpf.bpf_object__next_program):
            name = self._bpf.bpf_program__name(handle).decode(errors="replace")
            yield name, self._bpf.bpf_program__type(handle), handle

    def maps(self) -> Iterator[tuple[MapSpec, Any]]:
        """Each map, and its handle."""
        for handle in self._each(self._bpf.bpf_object__next_map):
            yield self._spec(handle), handle

    def _each(self, following: Callable[[Any, Any], Any]) -> Iterator[Any]:
        handle = following(self._object, None)
        while handle:
            yield handle
            handle = following(self._object, handle)

    def _spec(self, handle: Any) -> MapSpec:
        bpf, btf = self._bpf, self._btf
        key, value = bpf.bpf_map__btf_key_type_id(handle), bpf.bpf_map__btf_value_type_id(handle)
        return MapSpec(
            bpf.bpf_map__name(handle).decode(errors="replace"), bpf.bpf_map__type(handle),
            bpf.bpf_map__key_size(handle), bpf.bpf_map__value_size(handle),
            bpf.bpf_map__max_entries(handle), bpf.bpf_map__map_flags(handle),
            bpf.bpf_map__is_internal(handle),
            btf.fields(key) if btf is not None else {},
            btf.fields(value) if btf is not None else {},
        )  # fmt: skip

    def constants(self) -> dict[str, tuple[Any, Member]]:
        """Variables of `.rodata` and of sections below it: the map's handle, and where it is."""
        found = {}
        for spec, handle in self.maps():
            at = spec.name.rfind(_RODATA)
            if spec.internal and at >= 0 and self._btf is not None:
                for name, member in self._btf.variables(spec.name[at:]).items():
                    found[name] = (handle, member)
        return found

    def initial_value(self, handle: Any) -> tuple[int, int]:
        """Where an internal map's contents are until it is loaded, and their size; or 0."""
        size = ctypes.c_size_t()
        address = self._bpf.bpf_map__initial_value(handle, ctypes.byref(size))
        return address or 0, size.value

    def set_constants(self, values: Mapping[str, bytes]) -> None:
        """Write variables; each value is as long as its variable."""
        known = self.constants()
        for name, value in values.items():
            handle, member = known[name]
            address, size = self.initial_value(handle)
            if not address or member.offset + len(value) > size:
                raise BuildError(f"object {self.file.name}: {name} lies outside its section")
            ctypes.memmove(address + member.offset, value, len(value))

    def load(self, programs: frozenset[str]) -> None:
        """Load these programs, and where they can tail-call, others that are for tc.

        Raises:
            BuildError: The kernel refuses; the exception has the verifier's whole log.
        """
        may_call = any(spec.kind == _PROG_ARRAY for spec, _ in self.maps())
        for name, kind, handle in self.programs():
            if name in programs:
                self._bpf.bpf_program__set_type(handle, syscall.PROG_TYPE_SCHED_CLS)
                self._bpf.bpf_program__set_expected_attach_type(handle, 0)
                self._bpf.bpf_program__set_autoload(handle, True)
            elif kind != syscall.PROG_TYPE_SCHED_CLS or not may_call:
                self._bpf.bpf_program__set_autoload(handle, False)
        syscall.lift_memlock()
        with heard() as said:
            failed = self._bpf.bpf_object__load(self._object) < 0
            why = refusal()
        if failed:
            raise BuildError(
                f"object {self.file.name}: {_why_refused(said) or why}", log="".join(said)
            )

    def close(self) -> None:
        """Unload what is attached nowhere."""
        handle, self._object = self._object, None
        if handle:
            self._bpf.bpf_object__close(handle)


_LOG = "-- BEGIN PROG LOAD LOG --"
_END = "-- END PROG LOAD LOG --"


def _why_refused(said: list[str]) -> str:
    """Which program the verifier refused and its last word, or else what libbpf said first."""
    for text in said:
        if _LOG in text:
            head, _, log = text.partition(_LOG)
            lines = [line.strip() for line in log.partition(_END)[0].splitlines() if line.strip()]
            words = [line for line in lines if not line.startswith(("processed", ";"))]
            program = head.partition("'")[2].partition("'")[0]
            return f"the verifier refused {program}: {words[-1] if words else 'without a word'}"
    warned = [text.strip().removeprefix("libbpf: ") for text in said if text.strip()]
    return warned[0] if warned else ""
