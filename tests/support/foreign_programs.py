# SPDX-License-Identifier: Apache-2.0
"""Programs and datapaths of others: raw instructions, and the bundled programs in disguise."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from harness.bpf import syscall
from harness.bpf.syscall import EXIT, MOV64_IMM, instruction
from harness.datapath import DATAPATHS, Counters, Installed, NodeSettings
from harness.topology import Host, Node

OK, SHOT, REDIRECT, NEXT = 0, 2, 7, -1  # verdicts of tc, uapi/linux/pkt_cls.h and bpf.h
XDP, XDP_PASS = 6, 2  # BPF_PROG_TYPE_XDP, enum xdp_action
INGRESS, EGRESS = 0xFFFFFFF2, 0xFFFFFFF3
ALL = 0x0003  # ETH_P_ALL, uapi/linux/if_ether.h
TCX_INGRESS = 46
# enum bpf_cmd, bpf_map_type and bpf_func_id, uapi/linux/bpf.h.
_MAP_CREATE, _MAP_UPDATE, _LINK_CREATE, _PROG_ARRAY = 0, 2, 28, 3
_LOAD_64, _MAP_FD, _TAIL_CALL, _REDIRECT_PEER = 0x18, 1, 12, 155
NAME = "hostroute_probe"  # what load_program() calls them


def returning(verdict: int, kind: int = syscall.PROG_TYPE_SCHED_CLS) -> int:
    """Load a program that only returns a verdict; its descriptor."""
    return syscall.load_program(kind, instruction(MOV64_IMM, imm=verdict) + instruction(EXIT))


def attach(
    host: Host, ifname: str, fd: int, parent: int = INGRESS, prio: int = 1, **fields: object
) -> None:
    """Put a program on a device's tc hook as others do, without a name."""
    netlink, index = host.ns.netlink, host.ifindex(ifname)
    if not any(q["index"] == index and q.get_attr("TCA_KIND") == "clsact"
               for q in netlink.get_qdiscs()):  # fmt: skip
        netlink.tc("add", "clsact", index)
    netlink.tc("add-filter", "bpf", index, ":1", fd=fd, parent=parent, prio=prio,
               direct_action=True, **fields)  # fmt: skip


@contextmanager
def attached(
    host: Host, ifname: str, verdict: int, parent: int = INGRESS, prio: int = 1, **fields: object
) -> Iterator[None]:
    """A program on a device's tc hook; nobody holds its descriptor, and it goes with the device."""
    fd = returning(verdict)
    try:
        attach(host, ifname, fd, parent, prio, **fields)
    finally:
        os.close(fd)
    yield


@contextmanager
def tcx(host: Host, ifname: str, verdict: int) -> Iterator[None]:
    """A program on a device's TCX ingress hook while the context is open."""
    with ExitStack() as closing:
        fd = returning(verdict)
        closing.callback(os.close, fd)
        with host.ns:
            attr = struct.pack("=IIII", fd, host.ifindex(ifname), TCX_INGRESS, 0) + bytes(48)
            closing.callback(os.close, syscall._bpf(_LINK_CREATE, attr)[0])
        yield


def redirecting(ifindex: int) -> int:
    """Load a program that redirects everything into a pod by bpf_redirect_peer; its descriptor."""
    code = instruction(MOV64_IMM, dst=1, imm=ifindex) + instruction(MOV64_IMM, dst=2)
    code += instruction(syscall.CALL, imm=_REDIRECT_PEER) + instruction(EXIT)
    return syscall.load_program(syscall.PROG_TYPE_SCHED_CLS, code)


@contextmanager
def tail_calling(verdict: int, last: int | None = None) -> Iterator[int]:
    """A program that tail-calls another; gives its descriptor.

    The array of programs to call is emptied when nobody holds a descriptor of it.

    Args:
        verdict: What the other returns.
        last: The other, which is closed too; None: one that only returns the verdict.
    """
    with ExitStack() as closing:
        array = syscall._bpf(_MAP_CREATE, struct.pack("=IIIII", _PROG_ARRAY, 4, 4, 1, 0))[0]
        closing.callback(os.close, array)
        last = returning(verdict) if last is None else last
        closing.callback(os.close, last)
        key, value = ctypes.c_uint32(0), ctypes.c_uint32(last)
        at = ctypes.addressof(key), ctypes.addressof(value)
        syscall._bpf(_MAP_UPDATE, struct.pack("=IxxxxQQQ", array, *at, 0))
        code = instruction(_LOAD_64, dst=2, src=_MAP_FD, imm=array) + instruction(0)
        code += instruction(MOV64_IMM, dst=3, imm=0) + instruction(syscall.CALL, imm=_TAIL_CALL)
        code += instruction(MOV64_IMM, imm=SHOT) + instruction(EXIT)
        fd = syscall.load_program(syscall.PROG_TYPE_SCHED_CLS, code)
        closing.callback(os.close, fd)
        yield fd


class Disguised:
    """A bundled datapath's programs as somebody else's: another name, other classes, no counters.

    Attributes:
        installs: What is put on a node.
        claims_of: The datapath whose claims it makes.
    """

    def __init__(self, name: str, installs: str = "bpf", claims_of: str = "bpf") -> None:
        self.name, self.summary = name, "what somebody else wrote"
        self.installs, self.claims_of = DATAPATHS[installs], DATAPATHS[claims_of]

    def __getattr__(self, name: str) -> Any:  # needs, host_routing, and whatever else it claims
        return getattr(self.claims_of, name)

    def install(self, node: Node, settings: NodeSettings) -> Installed:
        """Put the programs on a node, and hide them behind another class."""
        return InstalledDisguised(self.name, self.installs.install(node, settings))


class InstalledDisguised:
    """They on a node: what the protocol asks for and nothing else."""

    def __init__(self, name: str, installed: Installed) -> None:
        self.name = name
        self.await_ready, self.attachments = installed.await_ready, installed.attachments
        self.sync, self.remove, self.reload = installed.sync, installed.remove, installed.reload

    def counters(self) -> Counters:
        """Nothing: it counts nothing."""
        return Counters()

    def describe(self) -> str:
        """A name, and no more."""
        return self.name
