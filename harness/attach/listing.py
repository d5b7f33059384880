# SPDX-License-Identifier: Apache-2.0
"""Every program that the kernel lists on a namespace's devices, by any hook, whoever's it is."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from harness.attach.clsact import EGRESS, INGRESS, Attachment, filters
from harness.bpf import syscall
from harness.bpf.loaded import loaded_program
from harness.plumbing.netns import NetNS

# Hooks of BPF_PROG_QUERY (enum bpf_attach_type, uapi/linux/bpf.h) in the order in which the kernel
# comes to them, each with its direction as the listed device has it. netkit: a program for the peer
# is attached through the primary, where what the peer sends comes in.
_QUERIED = {55: "ingress", 46: "ingress", 54: "egress", 47: "egress"}
#: The kernel lacks the hook, or the device does, or it is a netkit peer, or is gone.
_NONE_THERE = (errno.EINVAL, errno.ENXIO, errno.EACCES, errno.ENODEV, errno.EOPNOTSUPP)
#: The qdiscs that have tc hooks, and which.
_QDISCS = {"clsact": (INGRESS, EGRESS), "ingress": (INGRESS,)}
_XDP_IDS = tuple(f"IFLA_XDP_{mode}PROG_ID" for mode in ("", "DRV_", "SKB_", "HW_"))


def all_attachments(ns: NetNS, interface: str | None = None) -> list[Attachment]:
    """Every program on any hook of any device: XDP, netkit, TCX, clsact.

    A hook's programs stand in the order in which they run, hooks of one direction too.

    Args:
        ns: The devices' namespace.
        interface: Only this device.
    """
    qdiscs = [(entry["index"], entry.get_attr("TCA_KIND")) for entry in ns.netlink.get_qdiscs()]
    found: list[Attachment] = []
    for link in ns.netlink.get_links():
        name, ifindex = str(link.get_attr("IFLA_IFNAME")), int(link["index"])
        if interface not in (None, name):
            continue
        found += _by_id(name, "ingress", _xdp_ids(link))
        for attach_type, direction in _QUERIED.items():
            found += _by_id(name, direction, _queried(ns, ifindex, attach_type))
        for parent in (p for at, kind in qdiscs if at == ifindex for p in _QDISCS.get(kind, ())):
            found += _clsact(ns, name, ifindex, parent)
    return found


def _by_id(interface: str, direction: str, ids: list[int]) -> Iterator[Attachment]:
    for ident in ids:
        program = loaded_program(ident)
        if program is not None:  # else it was detached meanwhile
            with program:
                yield Attachment(interface, direction, program.name, program.tag, ident)


def _xdp_ids(link: Any) -> list[int]:
    xdp = link.get_attr("IFLA_XDP")
    ids = [xdp.get_attr(name) for name in _XDP_IDS] if xdp else []
    return list(dict.fromkeys(filter(None, ids)))  # the first repeats what the mode's own says


def _queried(ns: NetNS, ifindex: int, attach_type: int) -> list[int]:
    try:
        with ns:  # the index is that of the caller's namespace
            return syscall.attached_ids(ifindex, attach_type)
    except OSError as error:
        if error.errno not in _NONE_THERE:
            raise
        return []


def _clsact(ns: NetNS, interface: str, ifindex: int, parent: int) -> list[Attachment]:
    try:
        return list(filters(ns, interface, ifindex, parent))
    except NetlinkError as error:
        if error.code not in (*_NONE_THERE, errno.ENOENT):  # device or qdisc is gone
            raise
        return []
