# SPDX-License-Identifier: Apache-2.0
"""How the running kernel is asked what it can do: by trying, never by its version number.

A kernel without a helper answers "invalid func" to a program that calls it (or "unknown func" from
6.9 on). What is asked for is a table: `features.py`.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pyroute2.netlink.exceptions import NetlinkError

from harness.bpf import syscall
from harness.bpf.syscall import ADD64_IMM, CALL, EXIT, MOV64_IMM, MOV64_REG, ST_DW, instruction
from harness.plumbing.errors import CommandError, PrivilegeError
from harness.plumbing.netlink_attributes import attributes
from harness.plumbing.netlink_batch import Batch
from harness.plumbing.netns import NetNS
from harness.topology import big_tcp, netkit

_FRAME = bytes(12) + b"\x08\x00" + b"\x45" + bytes(63)  # an IPv4 frame, as test runs want one
_REDIRECT = 7  # TC_ACT_REDIRECT
_FIB_LOOKUP, _REDIRECT_PEER = 69, 155  # BPF_FUNC_*, uapi/linux/bpf.h
_TCX_INGRESS = 46  # enum bpf_attach_type, uapi/linux/bpf.h
_L3 = netkit.MODES["netkit-l3"]
_BTF = Path("/sys/kernel/btf/vmlinux")
_RAW_TRACEPOINT_CONTEXT = "netif_rx"


@dataclass(frozen=True)
class Probe:
    """A probe's answer.

    Attributes:
        supported: Whether the kernel has it.
        detail: What the kernel said.
    """

    supported: bool
    detail: str


def call(number: int, arguments: Sequence[int | str]) -> bytes:
    """A program for tc that calls a helper with arguments the verifier accepts.

    Args:
        number: BPF_FUNC_*, uapi/linux/bpf.h.
        arguments: Constants for r1 to r5; "buffer": a zeroed stack buffer, "context": the packet.
    """
    out = bytearray()
    for slot in range(8):  # struct bpf_fib_lookup and bpf_redir_neigh both fit in 64 bytes
        out += instruction(ST_DW, dst=10, off=-8 * (slot + 1))
    for register, value in enumerate(arguments, start=1):
        if value == "context":
            out += instruction(MOV64_REG, dst=1, src=1)
        elif value == "buffer":
            out += instruction(MOV64_REG, dst=register, src=10)
            out += instruction(ADD64_IMM, dst=register, imm=-64)
        else:
            out += instruction(MOV64_IMM, dst=register, imm=int(value))
    out += instruction(CALL, imm=number)
    out += instruction(MOV64_IMM, dst=0) + instruction(EXIT)
    return bytes(out)


def helper(number: int, arguments: Sequence[int | str]) -> Probe:
    """Whether a program that calls a helper is loaded; see `call` for the arguments.

    Raises:
        PrivilegeError: The kernel lets us load nothing at all.
    """
    try:
        os.close(syscall.load_program(syscall.PROG_TYPE_SCHED_CLS, call(number, arguments)))
    except PermissionError as error:
        # EACCES is the verifier's, EPERM the privilege's.
        if not error.filename:
            raise PrivilegeError(
                f"the kernel refuses to load BPF programs ({error.strerror})",
                "run as root with CAP_BPF (or SYS_ADMIN); before Linux 5.11, raise `ulimit -l`",
            ) from None
        return Probe(False, _last_line(error))
    except OSError as error:
        return Probe(False, _last_line(error))
    return Probe(True, "loads")


def _last_line(error: OSError) -> str:
    lines = [line for line in str(error.filename or "").splitlines() if "processed" not in line]
    return lines[-1] if lines else str(error.strerror)


def _run(code: bytes) -> int:
    """What a tc program returns on a packet.

    Raises:
        OSError: The kernel refuses the program.
    """
    fd = syscall.load_program(syscall.PROG_TYPE_SCHED_CLS, code)
    try:
        action = syscall.test_run(fd, _FRAME).action
    finally:
        os.close(fd)
    return int(struct.unpack("=i", struct.pack("=I", action))[0])


def lookup_flag(flag: int) -> Probe:
    """Whether bpf_fib_lookup knows a flag: it looks at flags before the address family.

    With a family of 0 it answers -EAFNOSUPPORT; with a flag it does not know, -EINVAL
    (bpf_skb_fib_lookup(), net/core/filter.c).
    """
    code = b"".join(instruction(ST_DW, dst=10, off=-8 * (slot + 1)) for slot in range(8))
    code += instruction(MOV64_REG, dst=2, src=10) + instruction(ADD64_IMM, dst=2, imm=-64)
    code += instruction(MOV64_IMM, dst=3, imm=64) + instruction(MOV64_IMM, dst=4, imm=flag)
    answer = _run(code + instruction(CALL, imm=_FIB_LOOKUP) + instruction(EXIT))
    known = answer == -errno.EAFNOSUPPORT
    return Probe(known, "known" if known else f"the helper answers {answer}")


def peer_flag(flag: int) -> Probe:
    """Whether bpf_redirect_peer takes a flag: it answers TC_ACT_SHOT to one it does not know."""
    code = instruction(MOV64_IMM, dst=1, imm=1) + instruction(MOV64_IMM, dst=2, imm=flag)
    answer = _run(code + instruction(CALL, imm=_REDIRECT_PEER) + instruction(EXIT))
    return Probe(answer == _REDIRECT, f"the helper answers {answer}")


def clsact() -> Probe:
    """Whether the qdisc goes onto a device."""
    with closing(NetNS("probe")) as ns:
        try:
            ns.netlink.tc("add", "clsact", 1)
        except NetlinkError as error:
            return Probe(False, f"netlink answers {os.strerror(error.code)}")
    return Probe(True, "goes onto a device")


def tcx() -> Probe:
    """Whether a BPF link goes onto a device."""
    nothing = instruction(MOV64_IMM, dst=0) + instruction(EXIT)
    fd = syscall.load_program(syscall.PROG_TYPE_SCHED_CLS, nothing)
    try:
        # The ifindex, 1 for lo, is looked up in the caller's namespace.
        with closing(NetNS("probe")) as ns, ns:
            os.close(syscall.link_create(fd, 1, _TCX_INGRESS))
    except OSError as error:
        return Probe(False, f"bpf(2) answers {os.strerror(error.errno or 0)}")
    finally:
        os.close(fd)
    return Probe(True, "a link goes onto a device")


def device(kind: str) -> Callable[[], Probe]:
    """Asks whether a device of that kind can be made."""

    def probe() -> Probe:
        with closing(NetNS("probe")) as ns:
            try:
                ns.netlink.link("add", kind=kind, ifname="probe0")
            except NetlinkError as error:
                return Probe(False, f"netlink answers {os.strerror(error.code)}")
        return Probe(True, "a device is made")

    return probe


def netkit_scrub() -> Probe:
    """Whether a netkit pair takes a scrub policy: a kernel that knows none ignores the attribute.

    It is looked for in what the kernel says of the pair afterwards.
    """
    with closing(NetNS("probe")) as ns:
        ends = netkit.End("probe0", ""), netkit.End("probe1", "")
        batch = Batch(ns)
        batch.take(
            netkit.request(ends[0], 0, ends[1], ns.fileno(), 1500, _L3, netkit.SCRUB_NONE)
        )  # fmt: skip
        try:
            batch.send()
        except NetlinkError as error:
            return Probe(False, f"netlink answers {os.strerror(error.code)}")
        (link,) = ns.netlink.get_links(ifname="probe0")
    # pyroute2 knows no netkit: it gives the attributes' bytes, as "08:00:01:…".
    said = bytes.fromhex(link.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA").replace(":", ""))
    known = netkit.SCRUB in attributes(said)
    return Probe(known, f"the pair's scrub policy is {'told' if known else 'not told'}")


def netdev_hook(hook: str) -> Callable[[], Probe]:
    """Asks whether nft puts a chain on that hook of a device."""

    def probe() -> Probe:
        chain = f"chain probe {{ type filter hook {hook} device lo priority 0; }}"
        with closing(NetNS("probe")) as ns:
            try:
                ns.run(["nft", "-f", "-"], stdin=f"table netdev probe {{ {chain}; }}\n")
            except CommandError as error:
                return Probe(False, (error.stderr.strip() or str(error)).splitlines()[0])
        return Probe(True, "a chain goes onto a device")

    return probe


def large_packets(family: int) -> Callable[[], Probe]:
    """Asks whether the kernel has BIG TCP of a family: it then tells a device's limit."""

    def probe() -> Probe:
        with closing(NetNS("probe")) as ns:
            known = big_tcp.known(ns, family)
        return Probe(known, f"{big_tcp.TELLS[family]} is {'told' if known else 'not told'}")

    return probe


def raw_tracepoint() -> Probe:
    """Whether a program attaches to a raw tracepoint."""
    nothing = instruction(MOV64_IMM, dst=0) + instruction(EXIT)
    try:
        fd = syscall.load_program(syscall.PROG_TYPE_RAW_TRACEPOINT, nothing)
        try:
            os.close(syscall.raw_tracepoint_open(_RAW_TRACEPOINT_CONTEXT, fd))
        finally:
            os.close(fd)
    except OSError as error:
        return Probe(False, f"bpf(2) answers {os.strerror(error.errno or 0)}")
    return Probe(True, f"attaches to {_RAW_TRACEPOINT_CONTEXT}")


def run_of_a_program() -> Probe:
    """Whether BPF_PROG_TEST_RUN runs a program on a packet."""
    try:
        _run(instruction(MOV64_IMM, dst=0) + instruction(EXIT))
    except OSError as error:
        return Probe(False, f"bpf(2) answers {os.strerror(error.errno or 0)}")
    return Probe(True, "runs a program")


def run_with_a_sum() -> Probe:
    """Whether a program is run on a packet that comes with a NIC's sum."""
    code = instruction(MOV64_IMM, dst=0) + instruction(EXIT)
    fd = syscall.load_program(syscall.PROG_TYPE_SCHED_CLS, code)
    try:
        syscall.test_run(fd, _FRAME, summed=True)
    except OSError as error:
        return Probe(False, f"bpf(2) answers {os.strerror(error.errno or 0)}")
    finally:
        os.close(fd)
    return Probe(True, "runs a program, and compares the sum")


def type_information() -> Probe:
    """Whether the kernel brings its own types."""
    return Probe(_BTF.exists(), f"{_BTF} is {'there' if _BTF.exists() else 'not there'}")
