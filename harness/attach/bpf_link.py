# SPDX-License-Identifier: Apache-2.0
"""BPF links on devices: what TCX and netkit have in common.

A link is detached by force before its descriptor is closed: a process that was forked meanwhile may
hold a copy, and would keep the program attached.
"""

from __future__ import annotations

import errno
import os
import socket
from functools import partial

from harness.attach.attachment import Attachment, Listed
from harness.bpf import syscall
from harness.bpf.loaded import loaded_program
from harness.plumbing.errors import KernelError
from harness.plumbing.netns import NetNS

#: BPF_F_BEFORE without a relative: before everything (uapi/linux/bpf.h).
_BEFORE = 8
#: The kernel lacks the hook, or the device does, or it is a netkit peer, or is gone.
_NONE_THERE = (errno.EINVAL, errno.ENXIO, errno.EACCES, errno.ENODEV, errno.EOPNOTSUPP)
#: What a device's hooks answer once the device or the link is gone.
_GONE = (errno.ENOLINK, errno.ENODEV, errno.ENOENT)
_REFUSALS = {
    errno.ENODEV: "check that the device is in that namespace, and was not deleted",
    errno.EEXIST: "the same program is attached there: detach it, or load another copy",
    errno.ESTALE: "somebody else attached a program meanwhile: attach again",
    errno.EACCES: "attach through the primary: this is the peer of a netkit pair",
    errno.EPERM: "run as root with CAP_BPF and CAP_NET_ADMIN",
    errno.ERANGE: "64 programs are attached there: detach one",
}


def attach(
    ns: NetNS, ifindex: int, place: tuple[str, str, int], fd: int, name: str,
    first: bool, absent: str,
) -> Attachment:  # fmt: skip
    """Attach a program by a link.

    Args:
        ns: The device's namespace.
        ifindex: The device.
        place: Hook, direction, and `enum bpf_attach_type`.
        fd: The program.
        name: What errors call it.
        first: Before everything that is attached there by now; otherwise after it.
        absent: What to do about a kernel or a device without this hook.

    Raises:
        KernelError: The kernel refuses, and why.
    """
    hook, direction, attach_type = place
    try:
        with ns:  # the index is that of the caller's namespace
            link = syscall.link_create(fd, ifindex, attach_type, _BEFORE if first else 0)
    except OSError as error:
        raise KernelError(
            f"cannot attach {name} at {hook} {direction} of ifindex {ifindex} of {ns.name}"
            f" ({error.strerror})",
            absent if error.errno == errno.EINVAL else _REFUSALS.get(error.errno or 0, ""),
        ) from None
    ident = syscall.link_id(link)
    return Attachment(
        hook, direction, partial(_own, ns, ifindex, place, ident), partial(_detach, link), ident
    )


def _detach(link: int) -> None:
    try:
        syscall.link_detach(link)
    except OSError as error:
        if error.errno not in _GONE:
            raise
    finally:
        os.close(link)


def _own(ns: NetNS, ifindex: int, place: tuple[str, str, int], link: int) -> list[Listed]:
    with ns:
        try:
            interface = socket.if_indextoname(ifindex)
        except OSError:  # the device is gone
            return []
    return [row for row in listed(ns, interface, ifindex, place) if row.link == link]


def listed(
    ns: NetNS, interface: str, ifindex: int, place: tuple[str, str, int]
) -> list[Listed]:  # fmt: skip
    """The programs at a hook of a device, in the order in which they run."""
    hook, direction, attach_type = place
    try:
        with ns:
            found = syscall.attached(ifindex, attach_type)
    except OSError as error:
        if error.errno not in _NONE_THERE:
            raise
        return []
    rows = []
    for ident, link in found:
        program = loaded_program(ident)
        if program is not None:  # else it was detached meanwhile
            with program:
                row = Listed(interface, direction, program.name, program.tag, ident, hook, link)
            rows.append(row)
    return rows
