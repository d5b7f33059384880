# SPDX-License-Identifier: Apache-2.0
"""What a loaded program calls: helpers and, by tail calls, other programs.

The translated instructions of a program hold those of its sub-programs too. A call of a helper has
source register 0 and, as imm, the helper's distance from __bpf_call_base; imm 0: the kernel hides
it (bpf_insn_prepare_dump(), kernel/bpf/syscall.c). A tail call is shown as helper 12.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from harness.bpf.syscall import CALL, _bpf, registers

# enum bpf_cmd and enum bpf_map_type, uapi/linux/bpf.h.
_MAP_LOOKUP, _MAP_GET_FD_BY_ID, _OBJ_GET_INFO, _PROG_QUERY = 1, 14, 15, 16
_PROG_ARRAY = 3
_TAIL_CALL = 12  # BPF_FUNC_tail_call
_INSTRUCTION = 8  # bytes
_MOST_MAPS = 64  # MAX_USED_MAPS, include/linux/bpf_verifier.h
_MOST_AT_CGROUP = 64  # BPF_CGROUP_MAX_PROGS, include/linux/bpf-cgroup-defs.h


@dataclass(frozen=True)
class Code:
    """What a program's instructions say.

    Attributes:
        loaded: When it was loaded, nanoseconds since boot.
        helpers: The imm of each helper that it calls, each once.
        hidden: How many calls of helpers the kernel hides.
        tail_calls: Whether it calls other programs.
        maps: Ids of its maps.
        readable: Whether the kernel gave the instructions.
    """

    loaded: int
    helpers: frozenset[int]
    hidden: int
    tail_calls: bool
    maps: tuple[int, ...]
    readable: bool


def read_code(fd: int) -> Code:
    """What the program of a descriptor calls.

    Raises:
        OSError: The kernel refuses.
    """
    size = struct.unpack_from("=I", _info(fd), 20)[0]
    instructions = ctypes.create_string_buffer(max(size, _INSTRUCTION))
    ids = (ctypes.c_uint32 * _MOST_MAPS)()
    # struct bpf_prog_info: xlated_prog_len and its pointer, nr_map_ids and map_ids.
    asked = struct.pack(
        "=20xI8xQ12xIQ", size, ctypes.addressof(instructions), len(ids), ctypes.addressof(ids)
    )
    answer = _info(fd, asked)
    used = struct.unpack_from("=I", answer, 52)[0]
    # It leaves the pointer 0 where the caller may not see them (bpf_dump_raw_ok()).
    readable = bool(size and struct.unpack_from("=Q", answer, 32)[0])
    helpers, hidden, tails = _calls(instructions.raw[:size]) if readable else (set(), 0, False)
    return Code(
        struct.unpack_from("=Q", answer, 40)[0], frozenset(helpers), hidden, tails,
        tuple(ids[: min(used, len(ids))]), readable,
    )  # fmt: skip


def _info(fd: int, asked: bytes = b"") -> bytes:
    info = ctypes.create_string_buffer(asked, 64)
    _bpf(_OBJ_GET_INFO, struct.pack("=IIQ", fd, len(info), ctypes.addressof(info)))
    return info.raw


def _calls(code: bytes) -> tuple[set[int], int, bool]:
    """The helpers' imms, how many are hidden, and whether there are tail calls."""
    helpers: set[int] = set()
    hidden, tails, opcodes = 0, False, code[::_INSTRUCTION]
    index = opcodes.find(CALL)
    while index >= 0:
        at = index * _INSTRUCTION
        imm = struct.unpack_from("=i", code, at + 4)[0]
        if registers(code[at + 1])[1] == 0:
            if imm == _TAIL_CALL:
                tails = True
            elif imm:
                helpers.add(imm)
            else:
                hidden += 1
        index = opcodes.find(CALL, index + 1)
    return helpers, hidden, tails


def programs_in(map_id: int) -> Iterator[int]:
    """Ids of the programs in a map, if it is an array of programs to call; else none.

    Raises:
        OSError: The kernel refuses.
    """
    try:
        fd = _bpf(_MAP_GET_FD_BY_ID, struct.pack("=III", map_id, 0, 0))[0]
    except OSError as error:
        if error.errno == errno.ENOENT:  # it is gone
            return
        raise
    try:
        kind, _, _, _, entries = struct.unpack_from("=IIIII", _info(fd))
        if kind != _PROG_ARRAY:
            return
        key, value = ctypes.c_uint32(), ctypes.c_uint32()
        attr = struct.pack("=IxxxxQQQ", fd, ctypes.addressof(key), ctypes.addressof(value), 0)
        for key.value in range(entries):
            try:
                _bpf(_MAP_LOOKUP, attr)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise
            else:
                yield value.value
    finally:
        os.close(fd)


def at_cgroup(fd: int, attach_type: int) -> list[int]:
    """Ids of the programs that are attached to a cgroup itself.

    Args:
        fd: The cgroup's directory.
        attach_type: Of enum bpf_attach_type.

    Raises:
        OSError: The kernel refuses; EINVAL: it knows no such type.
    """
    ids = (ctypes.c_uint32 * _MOST_AT_CGROUP)()
    # target_fd, attach_type, query_flags, attach_flags, prog_ids, count.
    attr = struct.pack("=IIIIQI4x", fd, attach_type, 0, 0, ctypes.addressof(ids), len(ids))
    _, raw = _bpf(_PROG_QUERY, attr)
    return list(ids[: struct.unpack_from("=I", raw, 24)[0]])
