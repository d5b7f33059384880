# SPDX-License-Identifier: Apache-2.0
"""TCX (6.6): programs on a device by BPF links, without a qdisc; they run before clsact's.

Any verdict but TC_ACT_UNSPEC, which means "next", ends the chain, and clsact is then skipped.
"""

from __future__ import annotations

from harness.attach import bpf_link
from harness.attach.attachment import EGRESS, INGRESS, Attachment, Listed
from harness.plumbing.netns import NetNS

NAME = "tcx"
# BPF_TCX_INGRESS and BPF_TCX_EGRESS of enum bpf_attach_type, uapi/linux/bpf.h.
_TYPES = {INGRESS: 46, EGRESS: 47}
_ABSENT = "use clsact: the kernel has no TCX (since 6.6)"


def attach(
    ns: NetNS, ifindex: int, direction: str, fd: int, name: str, *, first: bool = False
) -> Attachment:
    """Attach a program to a device's TCX hook, after those that are there; it goes with the device.

    Args:
        ns: The device's namespace.
        ifindex: The device.
        direction: `INGRESS` or `EGRESS`.
        fd: The program.
        name: What errors call it.
        first: Before everything that is attached there by now.

    Raises:
        KernelError: The kernel has no TCX, or refuses, and why.
    """
    place = (NAME, direction, _TYPES[direction])
    return bpf_link.attach(ns, ifindex, place, fd, name, first, _ABSENT)


def listed(ns: NetNS, interface: str, ifindex: int, direction: str) -> list[Listed]:
    """The programs on one of a device's hooks, in the order in which they run."""
    return bpf_link.listed(ns, interface, ifindex, (NAME, direction, _TYPES[direction]))
