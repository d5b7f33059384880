# SPDX-License-Identifier: Apache-2.0
"""A source as BCC compiled it: bytecode and the shapes of its maps.

A compile takes a second, and any number of modules can be made from one: see `module.py`.
"""

from __future__ import annotations

import copy
import ctypes
import os
import re
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from harness.bpf import syscall
from harness.bpf.bcc_import import bcc
from harness.bpf.contract import BPF_DIR
from harness.bpf.headers import kernel_source
from harness.bpf.source import Source
from harness.plumbing.errors import BuildError

#: Two compilations at once crash the process (LLVM's state in libbcc is global), and what is caught
#: of descriptors 1 and 2 is the process's.
_at_work = threading.Lock()
_ERROR_LINE = re.compile(
    r"^(?P<file>[^\s:]+\.[ch]):(?P<line>\d+):\d+: (?:fatal )?error: (.*)$", re.M
)
#: BCC makes a source's maps while it compiles it.
_REFUSED_MAP = re.compile(r"could not open bpf map: (?P<name>\S+?),? error: (?P<why>.*)")
_INSTRUCTION = struct.Struct("=BBhi")
_LOAD_WIDE, _PSEUDO_MAP_FD = 0x18, 1  # BPF_LD | BPF_IMM | BPF_DW and its source, uapi/linux/bpf.h


@contextmanager
def captured_output() -> Iterator[Callable[[], str]]:
    """Catch what libbcc's compiler and loader write to descriptors 1 and 2."""
    with _at_work, tempfile.TemporaryFile() as sink, ExitStack() as undo:
        directory = os.open(".", os.O_PATH)  # libbcc changes it while it compiles
        undo.callback(os.close, directory)
        undo.callback(os.fchdir, directory)
        for number in (1, 2):
            saved = os.dup(number)
            undo.callback(os.close, saved)
            undo.callback(os.dup2, saved, number)
            os.dup2(sink.fileno(), number)

        def text() -> str:
            sink.flush()
            sink.seek(0)
            return sink.read().decode(errors="replace")

        yield text


def _refused(name: str, why: str | None, log: str = "") -> BuildError:
    return BuildError(
        f"the kernel refused the map {name} ({why})",
        "is there memory for it, and did the machine's other programs leave any?", log,
    )  # fmt: skip


def _compile(source: Source, lines: bool) -> Any:
    api = bcc()
    flags = [
        "-I", str(BPF_DIR), "-Wno-unused-function", *([] if lines else ["-g0"]),
        # libbcc optimizes what clang returns: that clang does so first takes a third of the time.
        "-Xclang", "-disable-llvm-passes",
        # Else a misspelt helper is a call of nothing, and the verifier says "jump out of range".
        "-Werror=implicit-function-declaration", *(f"-D{name}" for name in source.defines),
    ]  # fmt: skip
    text = source.text()
    kernel_source()
    with captured_output() as output:
        try:
            return api.BPF(text=text.encode(), cflags=flags)
        except Exception as error:  # noqa: BLE001 - BCC raises bare Exception
            log = output()
            reason = str(error)
    refused = _REFUSED_MAP.search(log)
    if refused:
        raise _refused(refused["name"], refused["why"], log)
    where = _ERROR_LINE.search(log)
    what = f"{where['file']}:{where['line']}: {where[3]}" if where else reason
    raise BuildError(f"BPF source does not compile: {what}", log=log)


class Compiled:
    """What BCC made of a source; its own maps serve only as patterns for those of modules.

    It holds memory and descriptors until each who holds it has let go: its maker, to begin with.

    Attributes:
        source: What it was compiled from.
        lines: Whether its programs name lines of the source.
    """

    def __init__(self, source: Source, lines: bool = False) -> None:
        """Compile.

        Args:
            source: What to compile.
            lines: With the debug information by which the verifier names lines; the instructions
                are the same, and the compiler needs a third more time.

        Raises:
            BuildError: The compiler refused; the message has file and line, the exception the
                whole log.
        """
        syscall.lift_memlock()
        self.source = source
        self.lines = lines
        self.bpf = _compile(source, lines)
        self._holders = 1
        try:
            # BCC declares neither of the two.
            library, module = bcc().lib, ctypes.c_void_p(self.bpf.module)
            library.bpf_table_name.restype = ctypes.c_char_p
            count = library.bpf_num_tables(module)
            self._maps = [library.bpf_table_name(module, ctypes.c_uint64(n)) for n in range(count)]
        except BaseException:
            self.release()
            raise

    def hold(self) -> None:
        """Have it kept until the next `release`."""
        self._holders += 1

    def release(self) -> None:
        """Let go of it."""
        self._holders -= 1
        if not self._holders:
            self.bpf.cleanup()

    def map_names(self) -> list[str]:
        """The names of its maps."""
        return [name.decode() for name in self._maps]

    def make_maps(self) -> dict[str, Any]:
        """BCC's table objects, by name, of new and empty maps.

        Raises:
            BuildError: The kernel refused one; says which.
        """
        made: dict[str, Any] = {}
        try:
            for name in self._maps:
                table = copy.copy(self.bpf[name])
                try:
                    table.map_fd = syscall.map_create_like(table.map_fd)
                except OSError as error:
                    raise _refused(name.decode(), error.strerror) from None
                made[name.decode()] = table
        except BaseException:
            close_maps(made)
            raise
        return made

    def instructions(self, program: str, maps: Mapping[str, Any]) -> bytes:
        """A program's bytecode, bound to maps that `make_maps` made.

        Raises:
            BuildError: The source defines no such program.
        """
        library, module, symbol = bcc().lib, self.bpf.module, program.encode()
        start = library.bpf_function_start(module, symbol)
        if not start:
            raise BuildError(f"the source defines no program {program}", "is it static?")
        code = bytearray(ctypes.string_at(start, library.bpf_function_size(module, symbol)))
        fds = {self.bpf[name].map_fd: maps[name.decode()].map_fd for name in self._maps}
        for at in range(0, len(code), _INSTRUCTION.size):
            opcode, registers, offset, value = _INSTRUCTION.unpack_from(code, at)
            _, source = syscall.registers(registers)
            if opcode == _LOAD_WIDE and source == _PSEUDO_MAP_FD:
                _INSTRUCTION.pack_into(code, at, opcode, registers, offset, fds[value])
        return bytes(code)


def close_maps(maps: dict[str, Any]) -> None:
    """Close what `Compiled.make_maps` made; a map lives on where a loaded program uses it."""
    while maps:
        os.close(maps.popitem()[1].map_fd)
