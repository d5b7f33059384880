# SPDX-License-Identifier: Apache-2.0
"""What kernels can do that the suites ask for: since when, and how it is found out.

One table. A test may skip only where the running kernel is older than the feature's first
release; a probe that fails on one that is new enough is a failure. A kernel that is older and has
the feature all the same, by a backport, has it: only the probe says so.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import struct
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pyroute2.netlink.exceptions import NetlinkError

from harness.bpf import syscall
from harness.bpf.syscall import ADD64_IMM, CALL, EXIT, MOV64_IMM, MOV64_REG, ST_DW, instruction
from harness.datapath.probes import HELPERS, Helper, Probe, probe_helper
from harness.plumbing.errors import CommandError, UnknownNameError
from harness.plumbing.netns import NetNS

_FRAME = bytes(12) + b"\x08\x00" + b"\x45" + bytes(63)  # an IPv4 frame, as test runs want one
_REDIRECT = 7  # TC_ACT_REDIRECT
_FIB_LOOKUP, _REDIRECT_PEER = 69, 155  # BPF_FUNC_*, uapi/linux/bpf.h
_LINK_CREATE, _TCX_INGRESS = 28, 46  # enum bpf_cmd, enum bpf_attach_type
_BTF = Path("/sys/kernel/btf/vmlinux")
_RAW_TRACEPOINT_CONTEXT = "netif_rx"


@dataclass(frozen=True)
class Feature:
    """Something a kernel has or has not.

    Attributes:
        name: As tests and tables call it.
        kind: `helper`, `flag` or `hook`.
        since: The first release that has it, upstream.
        how: How it is probed.
        probe: Asks the running kernel.
    """

    name: str
    kind: str
    since: str
    how: str
    probe: Callable[[], Probe]

    @property
    def first(self) -> tuple[int, int]:
        """The first release, as in (6, 6)."""
        return release(self.since)

    def excused(self, running: tuple[int, int] | None = None) -> bool:
        """Whether the running kernel is too old to have it."""
        return (running or release()) < self.first


def release(text: str | None = None) -> tuple[int, int]:
    """A kernel's release as in (6, 18); the running kernel's by default."""
    major, minor = re.findall(r"\d+", text if text is not None else platform.release())[:2]
    return int(major), int(minor)


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


def _lookup_flag(flag: int) -> Probe:
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


def _peer_flag(flag: int) -> Probe:
    """Whether bpf_redirect_peer takes a flag: it answers TC_ACT_SHOT to one it does not know."""
    code = instruction(MOV64_IMM, dst=1, imm=1) + instruction(MOV64_IMM, dst=2, imm=flag)
    answer = _run(code + instruction(CALL, imm=_REDIRECT_PEER) + instruction(EXIT))
    return Probe(answer == _REDIRECT, f"the helper answers {answer}")


def _clsact() -> Probe:
    with closing(NetNS("probe")) as ns:
        try:
            ns.netlink.tc("add", "clsact", 1)
        except NetlinkError as error:
            return Probe(False, f"netlink answers {os.strerror(error.code)}")
    return Probe(True, "goes onto a device")


def _tcx() -> Probe:
    nothing = instruction(MOV64_IMM, dst=0) + instruction(EXIT)
    fd = syscall.load_program(syscall.PROG_TYPE_SCHED_CLS, nothing)
    try:
        # The ifindex, 1 for lo, is looked up in the caller's namespace.
        with closing(NetNS("probe")) as ns, ns:
            # The block is as long as the union's longest member: what is not used is 0.
            attr = struct.pack("=IIII", fd, 1, _TCX_INGRESS, 0) + bytes(48)
            os.close(syscall._bpf(_LINK_CREATE, attr)[0])
    except OSError as error:
        return Probe(False, f"bpf(2) answers {os.strerror(error.errno or 0)}")
    finally:
        os.close(fd)
    return Probe(True, "a link goes onto a device")


def _device(kind: str) -> Callable[[], Probe]:
    def probe() -> Probe:
        with closing(NetNS("probe")) as ns:
            try:
                ns.netlink.link("add", kind=kind, ifname="probe0")
            except NetlinkError as error:
                return Probe(False, f"netlink answers {os.strerror(error.code)}")
        return Probe(True, "a device is made")

    return probe


def _netdev_hook(hook: str) -> Callable[[], Probe]:
    def probe() -> Probe:
        chain = f"chain probe {{ type filter hook {hook} device lo priority 0; }}"
        with closing(NetNS("probe")) as ns:
            try:
                ns.run(["nft", "-f", "-"], stdin=f"table netdev probe {{ {chain}; }}\n")
            except CommandError as error:
                return Probe(False, (error.stderr.strip() or str(error)).splitlines()[0])
        return Probe(True, "a chain goes onto a device")

    return probe


def _raw_tracepoint() -> Probe:
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


def _test_run() -> Probe:
    try:
        _run(instruction(MOV64_IMM, dst=0) + instruction(EXIT))
    except OSError as error:
        return Probe(False, f"bpf(2) answers {os.strerror(error.errno or 0)}")
    return Probe(True, "runs a program")


def _type_information() -> Probe:
    return Probe(_BTF.exists(), f"{_BTF} is {'there' if _BTF.exists() else 'not there'}")


def _helper(helper: Helper) -> Feature:
    return Feature(helper.name, "helper", helper.since, "a program that calls it is loaded",
                   lambda: probe_helper(helper))  # fmt: skip


#: Helpers that tests ask for besides those that datapaths need.
_MORE_HELPERS = (
    Helper("check_mtu", 163, "5.12", ("context", 0, "buffer", 0, 0)),
    Helper("skb_set_tstamp", 192, "5.18", ("context", 0, 0)),
)
_OF_LOOKUP = "bpf_fib_lookup is run with it on a packet"
_RUN_PEER = "bpf_redirect_peer is run with it on a packet"
_NFT = "nft puts a chain there"

FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        *map(_helper, (*HELPERS.values(), *_MORE_HELPERS)),
        # By uapi/linux/bpf.h of these releases; the first came with 31de4105f00d, the third with
        # dab4e1f06cab. Debian's 6.1 has the first three by backports.
        Feature("fib-skip-neigh", "flag", "6.3", _OF_LOOKUP, lambda: _lookup_flag(4)),
        Feature("fib-tbid", "flag", "6.5", _OF_LOOKUP, lambda: _lookup_flag(8)),
        Feature("fib-src", "flag", "6.7", _OF_LOOKUP, lambda: _lookup_flag(16)),
        Feature("fib-mark", "flag", "6.10", _OF_LOOKUP, lambda: _lookup_flag(32)),
        Feature("fib-vlan-input", "flag", "7.3", _OF_LOOKUP, lambda: _lookup_flag(128)),
        Feature("peer-egress", "flag", "7.3", _RUN_PEER, lambda: _peer_flag(2)),
        Feature("clsact", "hook", "4.5", "the qdisc is put onto a device", _clsact),
        Feature("netdev-ingress", "hook", "4.2", _NFT, _netdev_hook("ingress")),
        Feature("netdev-egress", "hook", "5.16", _NFT, _netdev_hook("egress")),
        Feature("tcx", "hook", "6.6", "a BPF link is put onto a device", _tcx),
        Feature("netkit", "hook", "6.7", "a pair of devices is made", _device("netkit")),
        Feature("raw-tracepoint", "hook", "4.17", "a program is attached", _raw_tracepoint),
        Feature("test-run", "hook", "4.12", "a program is run on a packet", _test_run),
        Feature("btf", "hook", "5.4", "the kernel's own types are looked for", _type_information),
    )
}


def find(name: str) -> Feature:
    """The feature of that name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in FEATURES:
        raise UnknownNameError(f"feature {name!r} is unknown", f"use {', '.join(FEATURES)}")
    return FEATURES[name]


@lru_cache(maxsize=len(FEATURES))
def probe(name: str) -> Probe:
    """Ask the running kernel for a feature, once.

    A refusal that the probe did not foresee is an answer as well: the feature is not there.
    """
    try:
        return find(name).probe()
    except OSError as error:
        said = str(error.filename or "").strip().splitlines()
        return Probe(False, said[-1] if said else os.strerror(error.errno or 0))
