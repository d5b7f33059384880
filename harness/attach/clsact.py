# SPDX-License-Identifier: Apache-2.0
"""tc programs through the clsact qdisc, direct action."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl.tcmsg import sched_bpf

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

# TC_H_CLSACT with TC_H_MIN_INGRESS and TC_H_MIN_EGRESS, uapi/linux/pkt_sched.h.
INGRESS, EGRESS = 0xFFFFFFF2, 0xFFFFFFF3
_DIRECTIONS = {INGRESS: "ingress", EGRESS: "egress"}
#: A datapath's; probes that a test puts before it take a lower one.
PRIORITY = 10
#: What the kernel says of a device, or its clsact, that is not there any more.
_GONE = (errno.ENODEV, errno.ENOENT, errno.EINVAL)


@dataclass(frozen=True)
class Attachment:
    """A program on a hook, as the kernel lists it.

    Attributes:
        interface: The device's name.
        direction: `ingress` or `egress`.
        program: The filter's name, which is the program's.
        tag: The program's tag, 16 hexadecimal digits.
        id: The program's id. The same program loaded again has another, and is equal to it here.
    """

    interface: str
    direction: str
    program: str
    tag: str
    id: int = field(default=0, compare=False)


def attach(
    ns: NetNS, ifindex: int, direction: int, fd: int, name: str, priority: int = PRIORITY
) -> None:
    """Attach a program to a device's clsact hook; it goes when the device goes.

    Args:
        ns: The device's namespace.
        ifindex: The device.
        direction: `INGRESS` or `EGRESS`.
        fd: The program.
        name: What the filter is called in listings.
        priority: Lower runs first.

    Raises:
        KernelError: The kernel has no clsact or refuses the filter.
    """
    batch = Batch(ns)
    batch.add("tc", "add", (errno.EEXIST,), kind="clsact", index=ifindex)
    try:
        batch.send()
    except NetlinkError as error:
        raise KernelError(
            f"the kernel has no clsact qdisc ({error})", "enable CONFIG_NET_SCH_INGRESS"
        ) from None
    batch.add(
        "tc", "add-filter", kind="bpf", index=ifindex, handle=":1", fd=fd, name=name,
        parent=direction, prio=priority, direct_action=True,
    )  # fmt: skip
    try:
        batch.send()
    except NetlinkError as error:
        raise KernelError(
            f"cannot attach {name} to ifindex {ifindex} of {ns.name} ({error})",
            "enable CONFIG_NET_CLS_BPF",
        ) from None


def detach_all(ns: NetNS, ifindex: int) -> None:
    """Take every program off a device's clsact hooks, now; a device that is gone has none."""
    batch = Batch(ns)
    batch.add("tc", "del", _GONE, kind="clsact", index=ifindex)
    batch.send()


def attachments(ns: NetNS, interfaces: dict[str, int]) -> list[Attachment]:
    """What the kernel says is attached to each interface's clsact hooks.

    Args:
        ns: The interfaces' namespace.
        interfaces: Name → ifindex.
    """
    return [
        attachment
        for interface, ifindex in interfaces.items()
        for parent in _DIRECTIONS
        for attachment in filters(ns, interface, ifindex, parent)
    ]


def filters(ns: NetNS, interface: str, ifindex: int, parent: int) -> Iterator[Attachment]:
    """The eBPF programs on one of a device's hooks, in the order in which they run.

    Args:
        ns: The device's namespace.
        interface: What it is called.
        ifindex: Its index.
        parent: `INGRESS` or `EGRESS`.
    """
    for entry in ns.netlink.get_filters(index=ifindex, parent=parent):
        options = entry.get_attr("TCA_OPTIONS")
        # The name is optional, and a filter of classic BPF has no id.
        ident = options.get_attr("TCA_BPF_ID") if options else None
        if ident:
            name = str(options.get_attr("TCA_BPF_NAME") or "")
            tag = bytes(options.get_attr("TCA_BPF_TAG") or b"").hex()
            yield Attachment(interface, _DIRECTIONS[parent], name, tag, ident)
