# SPDX-License-Identifier: Apache-2.0
"""Load compiled programs with maps of their own; errors carry file, line and log."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Mapping
from typing import Any

from harness.bpf import syscall
from harness.bpf.bcc_import import bcc
from harness.bpf.compiled import Compiled, captured_output, close_maps
from harness.plumbing.errors import BuildError
from harness.plumbing.signals import held

_LOG_SIZE = (1 << 24) - 1  # the most that kernels before 6.4 take

# As in `; check += 1; @ rewrite.c:38` (kernel/bpf/log.c, verbose_linfo).
_SOURCE_LINE = re.compile(r"^;\s*(?P<text>.*?)\s*(?:@ (?P<file>\S+:\d+))?$")


def _explain_refusal(log: str) -> str:
    """The verifier's last word and the source line it stands on, as in `bpf/rewrite.c:38: …`.

    Kernels from 6.10 on print file and line; older ones the line's text, where they find it.
    """
    lines = [line for line in log.splitlines() if line.strip()]
    words = [line for line in lines if not line.startswith(("processed", ";"))][-1:]
    places = [match for line in lines if (match := _SOURCE_LINE.match(line))]
    if not words or not places:
        return "".join(words)
    place = places[-1]
    where = f"bpf/{place['file']}" if place["file"] else place["text"]
    return f"{where}: {words[0].strip()}"


class Module:
    """Programs loaded into the kernel, with maps of their own.

    Attributes:
        source: What they were built from.
    """

    def __init__(self, compiled: Compiled, programs: Mapping[str, int]) -> None:
        """Load.

        Args:
            compiled: The compiled source.
            programs: Name → BPF program type (`syscall.PROG_TYPE_*`) of each to load.

        Raises:
            BuildError: The verifier refused, or the kernel a map; the message has file and line,
                the exception the whole log.
        """
        self.source = compiled.source
        self._compiled = compiled
        self._programs = dict(programs)
        self._fds: dict[str, int] = {}
        self._maps = compiled.make_maps()
        compiled.hold()
        self._closed = False
        try:
            self.reload()
        except BaseException:
            self.close()
            raise

    def reload(self) -> None:
        """Load the programs once more, to another place in memory; the maps stay.

        Where a program lies decides how fast it runs: of modules loaded one after the other, one
        in five makes a round trip 6 % longer, as long as it is loaded (measured on 6.18).

        Raises:
            BuildError: As when it was made; the programs are then the former ones.
        """
        fds: dict[str, int] = {}
        try:
            for name, kind in self._programs.items():
                fds[name] = self._load(name, kind)
        except BaseException:
            for fd in fds.values():
                os.close(fd)
            raise
        for fd in self._fds.values():
            os.close(fd)
        self._fds = fds

    def _load(self, name: str, kind: int) -> int:
        """Load one program with the verifier's log in a buffer, at the least level first."""
        lib, module = bcc().lib, self._compiled.bpf.module
        code = self._compiled.instructions(name, self._maps)
        for level in (0, 1):
            buffer = ctypes.create_string_buffer(_LOG_SIZE if level else 1)
            with captured_output():
                fd: int = lib.bcc_func_load(
                    module, kind, name.encode(), code, len(code), lib.bpf_module_license(module),
                    lib.bpf_module_kern_version(module), level, buffer if level else None,
                    _LOG_SIZE if level else 0, None, -1,
                )  # fmt: skip
            refusal = ctypes.get_errno()
            if fd >= 0:
                return fd
        if not self._compiled.lines:
            self._load_with_lines(name, kind)
        log = buffer.value.decode(errors="replace")
        what = _explain_refusal(log) or os.strerror(refusal)
        raise BuildError(f"the verifier refused {name}: {what}", log=log)

    def _load_with_lines(self, name: str, kind: int) -> None:
        """Have a program refused that was refused without debug information: the log names lines.

        Raises:
            BuildError: The same refusal, with its line.
        """
        with held():
            compiled = Compiled(self.source, lines=True)
        try:
            Module(compiled, {name: kind}).close()
        finally:
            compiled.release()

    def fd(self, program: str) -> int:
        """The descriptor of a loaded program."""
        return self._fds[program]

    def tag(self, program: str) -> str:
        """The kernel's tag of a program: 16 hexadecimal digits over its instructions."""
        return syscall.program_tag(self._fds[program])

    def tags(self) -> dict[str, str]:
        """Program → tag."""
        return {name: self.tag(name) for name in self._fds}

    def table(self, name: str) -> Any:
        """BCC's table object of a map."""
        return self._maps[name]

    def has_table(self, name: str) -> bool:
        """Whether the source, as it was compiled, has a map of that name."""
        return name in self._maps

    def empty(self, name: str) -> None:
        """Make a map as it was when it was made: a hash without entries, an array of zeros."""
        table = self.table(name)
        if not isinstance(table, (bcc().table.Array, bcc().table.PerCpuArray)):
            table.clear()
            return
        count = len(table)
        zero = table.Leaf()  # of a per-CPU array: the values of all CPUs
        keys = bytes((ctypes.c_uint32 * count)(*range(count)))
        try:
            syscall.map_update_batch(table.map_fd, keys, bytes(zero) * count, count)
        except OSError:  # an older kernel
            for key in range(count):
                table[ctypes.c_int(key)] = zero

    def fill(self, name: str, first: int, values: bytes) -> None:
        """Write elements of an array.

        Args:
            name: The array.
            first: Index of the first.
            values: Their packed values, one after the other.
        """
        table = self.table(name)
        size = ctypes.sizeof(table.Leaf)
        count = len(values) // size
        keys = bytes((ctypes.c_uint32 * count)(*range(first, first + count)))
        try:
            syscall.map_update_batch(table.map_fd, keys, values, count)
        except OSError:  # an older kernel
            for index in range(count):
                leaf = table.Leaf.from_buffer_copy(values, index * size)
                table[ctypes.c_int(first + index)] = leaf

    def replace(self, name: str, rows: Mapping[bytes, Mapping[str, Any] | int]) -> None:
        """Make a hash or a trie have these rows and no others; what is gone goes first.

        Args:
            name: The map.
            rows: Packed key → the value, or its fields; fields that are left out are 0.

        Raises:
            BuildError: The kernel refuses a row: the map is full.
        """
        table = self.table(name)
        for key in list(table.keys()):
            if bytes(key) not in rows:
                del table[key]
        for packed, value in rows.items():
            leaf = table.Leaf() if isinstance(value, Mapping) else table.Leaf(value)
            for field, content in value.items() if isinstance(value, Mapping) else ():
                if isinstance(content, bytes):
                    getattr(leaf, field)[:] = content
                else:
                    setattr(leaf, field, content)
            try:
                table[table.Key.from_buffer_copy(packed)] = leaf
            except Exception as error:  # noqa: BLE001 - BCC raises bare Exception
                raise BuildError(
                    f"map {name} does not hold the {len(rows)} entries that it comes to ({error})"
                ) from None

    def tables(self) -> tuple[str, ...]:
        """The names of its maps."""
        return tuple(self._maps)

    def attach_raw_tracepoint(self, program: str, tracepoint: str) -> int:
        """Attach to a raw tracepoint; closing the returned descriptor detaches."""
        return syscall.raw_tracepoint_open(tracepoint, self._fds[program])

    def close(self) -> None:
        """Unload: programs and maps live on only where they are still attached."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()
        close_maps(self._maps)
        if not self._closed:
            self._closed = True
            self._compiled.release()
