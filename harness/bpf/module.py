# SPDX-License-Identifier: Apache-2.0
"""Compile C with BCC and load its programs; errors carry file, line and log. Floor 1."""

from __future__ import annotations

import ctypes
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.bpf import syscall
from harness.bpf.bcc_import import bcc
from harness.bpf.contract import BPF_DIR
from harness.bpf.headers import kernel_source
from harness.errors import BuildError

#: Two compilations at once crash the process (LLVM's state in libbcc is global).
_compiling = threading.Lock()
_LOG_SIZE = (1 << 24) - 1  # the most that kernels before 6.4 take
_ERROR_LINE = re.compile(
    r"^(?P<file>[^\s:]+\.[ch]):(?P<line>\d+):\d+: (?:fatal )?error: (.*)$", re.M
)

# As in `; check += 1; @ rewrite.c:38` (kernel/bpf/log.c, verbose_linfo).
_SOURCE_LINE = re.compile(r"^;\s*(?P<text>.*?)\s*(?:@ (?P<file>\S+:\d+))?$")


@dataclass(frozen=True)
class Patch:
    """A named change of the source, for mutated programs.

    Attributes:
        file: A part's name, such as `rewrite.c`.
        old: Text that stands exactly once in that part.
        new: What replaces it.
    """

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Source:
    """A program's source: parts of bpf/ joined in order, its defines and its patches.

    BCC's map methods do not work in an `#include`d header, so parts that use maps are joined
    here; `#line` directives keep file and line of every message right.
    """

    parts: tuple[str, ...]
    defines: tuple[str, ...] = ()
    patches: tuple[Patch, ...] = ()

    def text(self) -> str:
        """The joined source.

        Raises:
            BuildError: A part is missing, or a patch's old text does not stand exactly once.
        """
        texts: dict[str, str] = {}
        for part in self.parts:
            try:
                texts[part] = (BPF_DIR / part).read_text(encoding="utf-8")
            except OSError as error:
                raise BuildError(f"cannot read the BPF source {part} ({error})") from None
        for patch in self.patches:
            found = texts.get(patch.file, "").count(patch.old)
            if found != 1:
                raise BuildError(
                    f"a patch of bpf/{patch.file} does not apply: its text stands {found} times",
                    f"look for {patch.old.strip().splitlines()[0]!r}",
                )
            texts[patch.file] = texts[patch.file].replace(patch.old, patch.new)
        return "".join(f'# 1 "bpf/{part}"\n{text}\n' for part, text in texts.items())


@contextmanager
def _captured_output() -> Iterator[Callable[[], str]]:
    """Catch what libbcc's compiler and loader write to descriptors 1 and 2."""
    with tempfile.TemporaryFile() as sink:
        saved = [os.dup(1), os.dup(2)]
        directory = os.open(".", os.O_PATH)  # libbcc changes it while it compiles
        try:
            os.dup2(sink.fileno(), 1)
            os.dup2(sink.fileno(), 2)

            def text() -> str:
                sink.flush()
                sink.seek(0)
                return sink.read().decode(errors="replace")

            yield text
        finally:
            for number, copy in enumerate(saved, start=1):
                os.dup2(copy, number)
                os.close(copy)
            os.fchdir(directory)
            os.close(directory)


def _compile(source: Source) -> Any:
    api = bcc()
    flags = ["-I", str(BPF_DIR), "-Wno-unused-function", *(f"-D{name}" for name in source.defines)]
    text = source.text()
    kernel_source()
    with _compiling, _captured_output() as output:
        try:
            return api.BPF(text=text.encode(), cflags=flags)
        except Exception as error:  # noqa: BLE001 - BCC raises bare Exception
            log = output()
            reason = str(error)
    where = _ERROR_LINE.search(log)
    what = f"{where['file']}:{where['line']}: {where[3]}" if where else reason
    raise BuildError(f"BPF source does not compile: {what}", log=log)


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
    """Programs loaded into the kernel, with their maps.

    Attributes:
        source: What they were built from.
    """

    def __init__(self, source: Source, programs: Mapping[str, int]) -> None:
        """Compile and load.

        Args:
            source: The joined source.
            programs: Name → BPF program type (`syscall.PROG_TYPE_*`) of each to load.

        Raises:
            BuildError: Compiler or verifier refused; the message has file and line, the
                exception the whole log.
        """
        syscall.lift_memlock()
        self.source = source
        self._programs = dict(programs)
        self._bpf = _compile(source)
        self._fds: dict[str, int] = {}
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
        lib = bcc().lib
        module, symbol = self._bpf.module, name.encode()
        start, size = lib.bpf_function_start(module, symbol), lib.bpf_function_size(module, symbol)
        if not start:
            raise BuildError(f"the source defines no program {name}", "is it static?")
        for level in (0, 1):
            buffer = ctypes.create_string_buffer(_LOG_SIZE if level else 1)
            with _captured_output():
                fd: int = lib.bcc_func_load(
                    module, kind, symbol, start, size, lib.bpf_module_license(module),
                    lib.bpf_module_kern_version(module), level, buffer if level else None,
                    _LOG_SIZE if level else 0, None, -1,
                )  # fmt: skip
            if fd >= 0:
                return fd
        code = ctypes.get_errno()
        log = buffer.value.decode(errors="replace")
        what = _explain_refusal(log) or os.strerror(code)
        raise BuildError(f"the verifier refused {name}: {what}", log=log)

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
        return self._bpf[name.encode()]

    def attach_raw_tracepoint(self, program: str, tracepoint: str) -> int:
        """Attach to a raw tracepoint; closing the returned descriptor detaches."""
        return syscall.raw_tracepoint_open(tracepoint, self._fds[program])

    def close(self) -> None:
        """Unload: programs and maps live on only where they are still attached."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()
        self._bpf.cleanup()


def source_files() -> list[Path]:
    """Every C file of bpf/, for records and checks."""
    return sorted(path for path in BPF_DIR.rglob("*") if path.suffix in {".c", ".h"})
