# SPDX-License-Identifier: Apache-2.0
"""The few commands of bpf(2) that BCC does not offer, or hides behind stderr."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import resource
import struct
import sys
from dataclasses import dataclass
from functools import lru_cache

_NR_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "s390x": 351, "ppc64le": 361}
_libc = ctypes.CDLL(None, use_errno=True)

# enum bpf_cmd and enum bpf_prog_type, uapi/linux/bpf.h.
_MAP_CREATE, _PROG_LOAD, _PROG_TEST_RUN, _PROG_GET_FD_BY_ID = 0, 5, 10, 13
_OBJ_GET_INFO_BY_FD, _PROG_QUERY, _RAW_TRACEPOINT_OPEN = 15, 16, 17
_MAP_UPDATE_BATCH, _LINK_CREATE, _LINK_DETACH = 26, 28, 34
PROG_TYPE_SCHED_CLS = 3
PROG_TYPE_RAW_TRACEPOINT = 17
_TEST_CHECKSUM_COMPLETE = 4  # BPF_F_TEST_SKB_CHECKSUM_COMPLETE, uapi/linux/bpf.h
_MOST_AT_A_HOOK = 64  # BPF_MPROG_MAX, include/linux/bpf_mprog.h

# Opcodes of the few instructions that probes are made of (instruction-set.rst).
MOV64_IMM, CALL, EXIT = 0xB7, 0x85, 0x95
MOV64_REG, ADD64_IMM, ST_DW = 0xBF, 0x07, 0x7A


def _bpf(command: int, attr: bytes) -> tuple[int, bytes]:
    """Issue bpf(2); returns its result and the attribute block as the kernel left it.

    Raises:
        OSError: With the kernel's errno.
    """
    number = _NR_BPF.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"bpf(2) has no known number on {platform.machine()}")
    block = ctypes.create_string_buffer(attr, len(attr))
    result = _libc.syscall(number, command, block, len(attr))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(result), block.raw


def registers(byte: int) -> tuple[int, int]:
    """Destination and source register of an instruction's second byte, a bit field."""
    low, high = byte & 0xF, byte >> 4
    return (low, high) if sys.byteorder == "little" else (high, low)


def instruction(opcode: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    """One BPF instruction, 8 bytes."""
    low, high = (dst, src) if sys.byteorder == "little" else (src, dst)
    return struct.pack("=BBhi", opcode, (high << 4) | low, off, imm)


@lru_cache(maxsize=1)
def lift_memlock() -> None:
    """Before 5.11, programs and maps count as locked memory of the user: lift this process's limit.

    Without CAP_SYS_RESOURCE the limit stays, and a load may be refused with EPERM.
    """
    with contextlib.suppress(ValueError, OSError):
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.setrlimit(resource.RLIMIT_MEMLOCK, unlimited)


def load_program(kind: int, code: bytes, log_size: int = 1 << 16) -> int:
    """Load instructions as a program and return its descriptor.

    Raises:
        OSError: The kernel refused; `filename` holds the verifier's log.
    """
    lift_memlock()
    log = ctypes.create_string_buffer(log_size)
    instructions = ctypes.create_string_buffer(code, len(code))
    name = ctypes.create_string_buffer(b"GPL")
    attr = struct.pack(
        "=IIQQIIQII16s", kind, len(code) // 8, ctypes.addressof(instructions),
        ctypes.addressof(name), 1, log_size, ctypes.addressof(log), 0, 0, b"hostroute_probe",
    )  # fmt: skip
    try:
        return _bpf(_PROG_LOAD, attr)[0]
    except OSError as error:
        raise OSError(error.errno, error.strerror, log.value.decode(errors="replace")) from None


@dataclass(frozen=True)
class TestRun:
    """What BPF_PROG_TEST_RUN returned.

    Attributes:
        action: The program's return value, a TC_ACT_* for tc programs.
        packet: The packet after the program, from its Ethernet header on.
        nanoseconds: Mean run time over the repetitions.
    """

    __test__ = False  # not a test, whatever pytest thinks of the name

    action: int
    packet: bytes
    nanoseconds: int


def test_run(
    fd: int, packet: bytes, repeat: int = 1, ifindex: int = 0, ingress_ifindex: int = 0, *,
    summed: bool = False,
) -> TestRun:  # fmt: skip
    """Run a tc program on a packet; nothing is transmitted whatever it returns.

    Args:
        fd: The program's descriptor.
        packet: A frame of at least 14 bytes.
        repeat: How often; the run time is the mean.
        ifindex: The device the program sees, in the caller's namespace; 0 is `lo`.
        ingress_ifindex: The device that the packet came in by; programs of others take another
            branch where it is 0. 5.10 and 5.15 refuse any but 0 (EINVAL, convert___skb_to_skb() in
            net/bpf/test_run.c); 6.1 takes it. Where it is refused, it is left 0.
        summed: The packet comes with a NIC's sum over all of it (CHECKSUM_COMPLETE), which must be
            right afterwards; since 6.11.

    Raises:
        OSError: The kernel refused the packet or the context. EBADMSG: the sum is wrong afterwards.
    """
    flags = _TEST_CHECKSUM_COMPLETE if summed else 0
    try:
        return _test_run(fd, packet, repeat, ifindex, ingress_ifindex, flags)
    except OSError as error:
        if error.errno != errno.EINVAL or not ingress_ifindex:
            raise
    return _test_run(fd, packet, repeat, ifindex, 0, flags)


def _test_run(
    fd: int, packet: bytes, repeat: int, ifindex: int, ingress_ifindex: int, flags: int
) -> TestRun:  # fmt: skip
    # struct __sk_buff: len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci,
    # vlan_proto, priority, ingress_ifindex, ifindex, … 192 bytes in all; others stay 0.
    context = bytearray(192)
    struct.pack_into("=II", context, 36, ingress_ifindex, ifindex)
    before = ctypes.create_string_buffer(packet, len(packet))
    after = ctypes.create_string_buffer(len(packet) + 512)
    ctx = ctypes.create_string_buffer(bytes(context), len(context))
    given = bool(ifindex or ingress_ifindex)
    attr = struct.pack(
        "=IIIIQQIIIIQQI4x", fd, 0, len(packet), len(after), ctypes.addressof(before),
        ctypes.addressof(after), repeat, 0, len(context) if given else 0, 0,
        ctypes.addressof(ctx) if given else 0, 0, flags,
    )  # fmt: skip
    _, raw = _bpf(_PROG_TEST_RUN, attr)
    _, action, _, size, _, _, _, duration = struct.unpack_from("=IIIIQQII", raw)
    return TestRun(action, after.raw[:size], duration)


test_run.__test__ = False  # type: ignore[attr-defined]


def _object_info(fd: int) -> bytes:
    """Struct bpf_prog_info or bpf_map_info of a descriptor, its first 256 bytes."""
    info = ctypes.create_string_buffer(256)
    _bpf(_OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", fd, len(info), ctypes.addressof(info)))
    return info.raw


def program_tag(fd: int) -> str:
    """A program's tag, from struct bpf_prog_info."""
    return _object_info(fd)[8:16].hex()


def program_type(fd: int) -> int:
    """A program's type, of enum bpf_prog_type."""
    return int(struct.unpack_from("=I", _object_info(fd))[0])


def program_name(fd: int) -> str:
    """A program's name as the kernel keeps it: its first 15 characters; "" if it has none."""
    return _object_info(fd)[64:80].partition(b"\0")[0].decode("ascii", "replace")


def program_fd(ident: int) -> int:
    """Open any loaded program by its id; returns its descriptor.

    Raises:
        OSError: ENOENT: no such program is loaded.
    """
    return _bpf(_PROG_GET_FD_BY_ID, struct.pack("=III", ident, 0, 0))[0]


def attached(ifindex: int, attach_type: int) -> list[tuple[int, int]]:
    """What a device has at a hook of BPF_PROG_QUERY, in the kernel's order.

    Args:
        ifindex: The device, in the caller's namespace.
        attach_type: Of enum bpf_attach_type.

    Returns:
        For each program its id, and the id of the link that holds it (0: none).

    Raises:
        OSError: EINVAL: the kernel has no such hook; ENXIO: the device has none.
    """
    ids, links = ((ctypes.c_uint32 * _MOST_AT_A_HOOK)() for _ in range(2))
    # target_ifindex, attach_type, query_flags, attach_flags, prog_ids, count, padding,
    # prog_attach_flags, link_ids, link_attach_flags, revision.
    attr = struct.pack(
        "=IIIIQIIQQQQ", ifindex, attach_type, 0, 0, ctypes.addressof(ids), len(ids), 0,
        0, ctypes.addressof(links), 0, 0,
    )  # fmt: skip
    _, raw = _bpf(_PROG_QUERY, attr)
    count = struct.unpack_from("=I", raw, 24)[0]
    return list(zip(ids[:count], links[:count], strict=True))


def link_create(fd: int, ifindex: int, attach_type: int, flags: int = 0) -> int:
    """Attach a program to a device by a link; returns the link's descriptor.

    Args:
        fd: The program.
        ifindex: The device, in the caller's namespace.
        attach_type: Of enum bpf_attach_type.
        flags: BPF_F_BEFORE, BPF_F_AFTER, …; none: after everything.

    Raises:
        OSError: The kernel refused.
    """
    return _bpf(_LINK_CREATE, struct.pack("=IIII48x", fd, ifindex, attach_type, flags))[0]


def link_id(link: int) -> int:
    """The id of a link, from struct bpf_link_info."""
    return int(struct.unpack_from("=I", _object_info(link), 4)[0])


def link_detach(link: int) -> None:
    """Detach a link's program, whoever else holds a descriptor of the link.

    Raises:
        OSError: ENOLINK: it is detached, or its device is gone.
    """
    _bpf(_LINK_DETACH, struct.pack("=I", link))


def map_create_like(fd: int) -> int:
    """Create an empty map of another's type, sizes, flags and name; returns its descriptor.

    Raises:
        OSError: The kernel refused.
    """
    kind, _, key, value, entries, flags, name = struct.unpack_from("=IIIIII16s", _object_info(fd))
    attr = struct.pack("=IIIIIII16s", kind, key, value, entries, flags, 0, 0, name)
    return _bpf(_MAP_CREATE, attr)[0]


def map_update_batch(fd: int, keys: bytes, values: bytes, count: int) -> None:
    """Write `count` entries of a map at once (5.6; arrays of per-CPU values 5.13).

    Args:
        fd: The map.
        keys: The keys, one after the other.
        values: The values; of a per-CPU map, one for each possible CPU, padded to 8 bytes.
        count: How many.

    Raises:
        OSError: The kernel cannot, for this type of map or for any.
    """
    keyed, valued = (ctypes.create_string_buffer(each, len(each)) for each in (keys, values))
    # in_batch, out_batch, keys, values, count, map_fd, elem_flags, flags.
    attr = struct.pack(
        "=QQQQIIQQ", 0, 0, ctypes.addressof(keyed), ctypes.addressof(valued), count, fd, 0, 0
    )
    _bpf(_MAP_UPDATE_BATCH, attr)


def raw_tracepoint_open(tracepoint: str, fd: int) -> int:
    """Attach a program to a raw tracepoint; closing the descriptor detaches it."""
    name = ctypes.create_string_buffer(tracepoint.encode())
    return _bpf(_RAW_TRACEPOINT_OPEN, struct.pack("=QII", ctypes.addressof(name), fd, 0))[0]
