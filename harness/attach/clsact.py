# SPDX-License-Identifier: Apache-2.0
"""tc programs through the clsact qdisc, direct action."""

from __future__ import annotations

import errno
import itertools
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl.tcmsg import sched_bpf

from harness.attach.attachment import EGRESS, INGRESS, Attachment, Listed
from harness.plumbing.errors import KernelError
from harness.plumbing.netlink_batch import Batch
from harness.plumbing.netns import NetNS

# pyroute2 0.9 knows cls_bpf's attributes up to the flags; the tag, which tells whose program it is,
# comes later (enum in uapi/linux/pkt_cls.h).
_KNOWN = [name for name, _ in sched_bpf.options.nla_map]
if "TCA_BPF_TAG" not in _KNOWN:
    sched_bpf.options.nla_map += (
        ("TCA_BPF_FLAGS_GEN", "uint32"),
        ("TCA_BPF_TAG", "cdata"),
        ("TCA_BPF_ID", "uint32"),
    )

NAME = "clsact"
# TC_H_CLSACT with TC_H_MIN_INGRESS and TC_H_MIN_EGRESS, uapi/linux/pkt_sched.h.
PARENTS = {INGRESS: 0xFFFFFFF2, EGRESS: 0xFFFFFFF3}
#: A datapath's.
_PRIORITY, _HANDLE = 10, 1
#: What comes before everything: the least priority there is. A CNI may sit there, with handle 1. Of
#: filters of one priority the last that came runs first (cls_bpf_change(), net/sched/cls_bpf.c).
_FIRST = 1
_HANDLES = itertools.count(0x4852_0001)
#: What the kernel says of a device, a qdisc or a filter that is not there any more.
_GONE = (errno.ENODEV, errno.ENOENT, errno.EINVAL)


def attach(
    ns: NetNS, ifindex: int, direction: str, fd: int, name: str, *, first: bool = False
) -> Attachment:
    """Attach a program to a device's clsact hook; it goes when the device goes.

    Args:
        ns: The device's namespace.
        ifindex: The device.
        direction: `INGRESS` or `EGRESS`.
        fd: The program.
        name: What the filter is called in listings.
        first: Before everything that is attached there by now.

    Raises:
        KernelError: The kernel has no clsact or refuses the filter.
    """
    batch = Batch(ns)
    batch.add("tc", "add", (errno.EEXIST,), kind="clsact", index=ifindex)
    try:
        batch.send()
    except NetlinkError as error:
        if error.code == errno.ENODEV:
            raise _no_device(ns, ifindex) from None
        raise KernelError(
            f"the kernel has no clsact qdisc ({error})", "enable CONFIG_NET_SCH_INGRESS"
        ) from None
    priority, handle = (_FIRST, next(_HANDLES)) if first else (_PRIORITY, _HANDLE)
    batch.add(
        "tc", "add-filter", kind="bpf", index=ifindex, handle=handle, fd=fd, name=name,
        parent=PARENTS[direction], prio=priority, direct_action=True,
    )  # fmt: skip
    try:
        batch.send()
    except NetlinkError as error:
        why = _why_refused(ns, ifindex, direction, priority, error)
        raise KernelError(
            f"cannot attach {name} at {NAME} {direction} of ifindex {ifindex} of {ns.name}"
            f" ({error})",
            why,
        ) from None
    return Attachment(
        NAME,
        direction,
        partial(_own, ns, ifindex, direction, priority, handle),
        partial(_detach, ns, ifindex, direction, priority, handle),
    )


def _no_device(ns: NetNS, ifindex: int) -> KernelError:
    return KernelError(f"{ns.name} has no device with ifindex {ifindex}", "was it deleted?")


def _why_refused(
    ns: NetNS, ifindex: int, direction: str, priority: int, error: NetlinkError
) -> str:
    """What to do about a filter that was refused, by what stands in its place."""
    there = [f for f in _filters(ns, ifindex, direction) if _place(f)[0] == priority]
    if error.code == errno.EEXIST:
        return f"a filter of priority {priority} and that handle is there: detach it first"
    if there and error.code in (errno.EINVAL, errno.ENOSPC):
        return (
            f"priority {priority} is taken by a filter of another kind or protocol, and there is"
            " none before it: move that filter to priority 2 or more"
        )
    return "enable CONFIG_NET_CLS_BPF"


def _detach(ns: NetNS, ifindex: int, direction: str, priority: int, handle: int) -> None:
    """Take one filter off; its qdisc stays, as others may use it by now."""
    batch = Batch(ns)
    batch.add(
        "tc", "del-filter", _GONE, kind="bpf", index=ifindex, handle=handle,
        parent=PARENTS[direction], prio=priority,
    )  # fmt: skip
    batch.send()


def detach_all(ns: NetNS, ifindex: int) -> None:
    """Take every program off a device's clsact hooks, now; a device that is gone has none."""
    batch = Batch(ns)
    batch.add("tc", "del", _GONE, kind="clsact", index=ifindex)
    batch.send()


def _filters(ns: NetNS, ifindex: int, direction: str) -> list[Any]:
    try:
        return list(ns.netlink.get_filters(index=ifindex, parent=PARENTS[direction]))
    except NetlinkError as error:
        if error.code not in (*_GONE, errno.EOPNOTSUPP):
            raise
        return []


def _place(entry: Any) -> tuple[int, int]:
    """Priority and handle of a filter."""
    return entry["info"] >> 16, entry["handle"]


def _own(ns: NetNS, ifindex: int, direction: str, priority: int, handle: int) -> list[Listed]:
    with ns:
        try:
            interface = socket.if_indextoname(ifindex)
        except OSError:  # the device is gone
            return []
    return [
        row
        for entry in _filters(ns, ifindex, direction)
        if _place(entry) == (priority, handle)
        for row in _rows(entry, interface, direction)
    ]


def listed(ns: NetNS, interface: str, ifindex: int, direction: str) -> list[Listed]:
    """The eBPF programs on one of a device's hooks, in the order in which they run.

    Args:
        ns: The device's namespace.
        interface: What it is called.
        ifindex: Its index.
        direction: `INGRESS` or `EGRESS`.
    """
    found = _filters(ns, ifindex, direction)
    return [row for entry in found for row in _rows(entry, interface, direction)]


def _rows(entry: Any, interface: str, direction: str) -> Iterator[Listed]:
    options = entry.get_attr("TCA_OPTIONS")
    # The name is optional, and a filter of classic BPF has no id.
    ident = options.get_attr("TCA_BPF_ID") if options else None
    if ident:
        name = str(options.get_attr("TCA_BPF_NAME") or "")
        tag = bytes(options.get_attr("TCA_BPF_TAG") or b"").hex()
        yield Listed(interface, direction, name, tag, ident, NAME)
