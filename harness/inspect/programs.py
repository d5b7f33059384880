# SPDX-License-Identifier: Apache-2.0
"""Every program on the devices' hooks, and which helpers each can come to call."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from harness.attach import Listed, all_attachments
from harness.bpf.calls import Code, at_cgroup, programs_in, read_code
from harness.bpf.loaded import loaded_program
from harness.bpf.symbols import Symbols
from harness.inspect.notes import Notes
from harness.plumbing.netns import NetNS

#: Helpers by which a program sends a packet past the node's stack.
REDIRECTS = ("bpf_redirect", "bpf_redirect_neigh", "bpf_redirect_peer", "bpf_redirect_map",
             "bpf_clone_redirect")  # fmt: skip
#: Hook of a cgroup → its number of enum bpf_attach_type.
_CGROUP = {
    "connect4": 10, "connect6": 11, "sendmsg4": 14, "sendmsg6": 15, "recvmsg4": 19,
    "recvmsg6": 20, "getpeername4": 29, "getpeername6": 30, "bind4": 8, "bind6": 9,
    "sock_create": 2, "sock_ops": 3, "ingress": 0, "egress": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Program:
    """A program on a hook.

    Attributes:
        interface: The device.
        direction: `ingress` or `egress`.
        hook: `xdp`, `netkit`, `tcx` or `clsact`.
        order: Its turn at this hook and direction, from 1.
        name: The filter's name, or the program's.
        tag: Its tag.
        id: Its id.
        loaded: When it was loaded, nanoseconds since boot; 0: it may not be asked.
        helpers: Names of the helpers that it, its sub-programs and what it tail-calls call.
        hidden: Whether it calls helpers that the kernel does not show.
        tail_calls: How many other programs it can come to by tail calls.
    """

    interface: str
    direction: str
    hook: str
    order: int
    name: str
    tag: str
    id: int
    loaded: int = 0
    helpers: tuple[str, ...] = ()
    hidden: bool = False
    tail_calls: int = 0

    @property
    def place(self) -> tuple[str, str]:
        """Device and direction."""
        return self.interface, self.direction

    @property
    def redirects(self) -> tuple[str, ...]:
        """By which helpers it sends packets past the stack."""
        return tuple(name for name in REDIRECTS if name in self.helpers)


@dataclass
class _Codes:
    """What programs call, each looked at once; following tail calls reads whole arrays."""

    symbols: Symbols
    notes: Notes
    known: dict[int, Code | None] = field(default_factory=dict)
    arrays: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def of(self, ident: int) -> Code | None:
        """One program's; None: it is gone, or may not be read."""
        if ident not in self.known:
            self.known[ident] = self.notes.attempt(
                "instructions of programs", partial(self._read, ident), None
            )
        return self.known[ident]

    def _read(self, ident: int) -> Code | None:
        program = loaded_program(ident)
        if program is None:
            return None
        with program:
            return read_code(program.fd)

    def _called(self, code: Code) -> Iterator[int]:
        for map_id in code.maps if code.tail_calls else ():
            if map_id not in self.arrays:
                look = partial(_each_once, map_id)
                self.arrays[map_id] = self.notes.attempt("programs that are tail-called", look, ())
            yield from self.arrays[map_id]

    def reached(self, ident: int) -> dict[int, Code]:
        """The program and every one that it can come to by tail calls."""
        found: dict[int, Code] = {}
        waiting = [ident]
        while waiting:
            each = waiting.pop()
            code = self.of(each) if each not in found else None
            if code is not None:
                found[each] = code
                waiting += self._called(code)
        return found


def _each_once(map_id: int) -> tuple[int, ...]:
    return tuple(dict.fromkeys(programs_in(map_id)))


def find(ns: NetNS, symbols: Symbols, notes: Notes) -> list[Program]:
    """The programs on every device of a namespace, a hook's in the order in which they run."""
    nothing: list[Listed] = []
    listed = notes.attempt("programs on hooks", lambda: all_attachments(ns), nothing)
    codes = _Codes(symbols, notes)
    turns: dict[tuple[str, str, str], int] = {}
    return [_program(each, codes, turns) for each in listed]


def _program(listed: Listed, codes: _Codes, turns: dict[tuple[str, str, str], int]) -> Program:
    place = (listed.interface, listed.direction, listed.hook)
    turns[place] = turns.get(place, 0) + 1
    reached = codes.reached(listed.id)
    own = reached.get(listed.id)
    return Program(
        listed.interface, listed.direction, listed.hook, turns[place], listed.program, listed.tag,
        listed.id, own.loaded if own else 0,
        _helpers(reached.values(), codes.symbols),
        any(_hides(code, codes.symbols) for code in reached.values()) or own is None,
        max(len(reached) - 1, 0),
    )  # fmt: skip


def _helpers(codes: Iterable[Code], symbols: Symbols) -> tuple[str, ...]:
    if symbols.hidden:
        return ()
    names = {symbols.helper(imm) for code in codes for imm in code.helpers}
    return tuple(sorted(filter(None, names)))


def _hides(code: Code, symbols: Symbols) -> bool:
    return bool(code.hidden or not code.readable or (code.helpers and symbols.hidden))


@dataclass(frozen=True)
class AtCgroup:
    """A program at the root of the cgroups: it works on sockets, before there is a packet.

    Attributes:
        hook: Such as `connect4`.
        name: Its name.
        tag: Its tag.
        id: Its id.
    """

    hook: str
    name: str
    tag: str
    id: int


def at_root_cgroup(notes: Notes) -> list[AtCgroup]:
    """The socket programs of the root cgroup, where a CNI translates services."""
    root = _cgroup_root()
    if root is None:
        notes.add("programs of cgroups", "no cgroup2 file system is mounted here")
        return []
    nothing: list[AtCgroup] = []
    return notes.attempt("programs of cgroups", lambda: _at_root(root), nothing)


def _cgroup_root() -> Path | None:
    with open("/proc/thread-self/mountinfo", encoding="utf-8", errors="replace") as file:
        rows = [line.split() for line in file]
    found = (row[4] for row in rows if row[row.index("-") + 1] == "cgroup2")
    return next(map(Path, found), None)


def _at_root(root: Path) -> list[AtCgroup]:
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    found = []
    try:
        for hook, number in _CGROUP.items():
            for ident in at_cgroup(fd, number):
                program = loaded_program(ident)
                if program is not None:
                    with program:
                        found.append(AtCgroup(hook, program.name, program.tag, ident))
    finally:
        os.close(fd)
    return found
