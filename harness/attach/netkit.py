# SPDX-License-Identifier: Apache-2.0
"""netkit (6.7): programs that run inside a pair's own transmission, both through the primary.

Seen from the primary, which is the node's: what the peer sends comes in (BPF_NETKIT_PEER), what is
sent to it goes out (BPF_NETKIT_PRIMARY).
"""

from __future__ import annotations

from harness.attach import bpf_link
from harness.attach.attachment import EGRESS, INGRESS, Attachment, Listed
from harness.plumbing.netns import NetNS

NAME = "netkit"
# BPF_NETKIT_PEER and BPF_NETKIT_PRIMARY of enum bpf_attach_type, uapi/linux/bpf.h.
_TYPES = {INGRESS: 55, EGRESS: 54}
_ABSENT = "attach to the primary of a netkit pair (since 6.7, CONFIG_NETKIT)"


def attach(
    ns: NetNS, ifindex: int, direction: str, fd: int, name: str, *, first: bool = False
) -> Attachment:
    """Attach a program to a netkit pair, after those that are there; it goes with the pair.

    Args:
        ns: The primary's namespace.
        ifindex: The primary.
        direction: `INGRESS`: on what the peer sends; `EGRESS`: on what is sent to it.
        fd: The program.
        name: What errors call it.
        first: Before everything that is attached there by now.

    Raises:
        KernelError: The device is not a netkit pair's primary, or the kernel refuses; says why.
    """
    place = (NAME, direction, _TYPES[direction])
    return bpf_link.attach(ns, ifindex, place, fd, name, first, _ABSENT)


def listed(ns: NetNS, interface: str, ifindex: int, direction: str) -> list[Listed]:
    """The programs on one direction of a pair, in the order in which they run."""
    return bpf_link.listed(ns, interface, ifindex, (NAME, direction, _TYPES[direction]))
