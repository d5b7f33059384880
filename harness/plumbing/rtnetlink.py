# SPDX-License-Identifier: Apache-2.0
"""rtnetlink dumps as bytes: many links in little time, and those of other namespaces.

A link of another namespace is asked for by the id that this namespace knows that one by
(IFLA_TARGET_NETNSID, 4.16), which enters nothing and needs no path to it.
"""

from __future__ import annotations

import errno
import os
import socket
import struct

from harness.plumbing.errors import KernelError
from harness.plumbing.netlink_attributes import aligned, attributes
from harness.plumbing.netns import NetNS

_HEADER, _ERROR = struct.Struct("=IHHII"), struct.Struct("=i")  # nlmsghdr, nlmsgerr
_REQUEST, _DUMP = 0x1, 0x300  # NLM_F_REQUEST, NLM_F_DUMP, uapi/linux/netlink.h
_TYPE_ERROR, _TYPE_DONE, _INTERRUPTED = 2, 3, 0x10
_SOL_NETLINK, _STRICT_CHECK = 270, 12  # a dump for another namespace is one of its own only then
_ANSWER, _ROOM, _SECONDS = 1 << 16, 1 << 22, 5.0
_AGAIN = 5  # dumps that a change of the table interrupted

_GET_ADDRESS = 22  # RTM_GETADDR
_ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix, flags, scope, index
_IFA_ADDRESS, _IFA_LOCAL = 1, 2  # uapi/linux/if_addr.h

#: What a message says: the fixed part, and attribute → value, the last one where several.
Message = tuple[bytes, dict[int, bytes]]


def ask(
    ns: NetNS, kind: int, body: bytes, fixed: int, *, dump: bool,
    protocol: int = socket.NETLINK_ROUTE,
) -> list[Message]:  # fmt: skip
    """Ask for one object, or for all of a kind.

    Args:
        ns: The namespace that is asked.
        kind: RTM_GETLINK, RTM_GETADDR, ….
        body: The request's fixed part and its attributes.
        fixed: Bytes of the fixed part of an answer.
        dump: Whether all are asked for.
        protocol: Another than rtnetlink's.

    Raises:
        OSError: The kernel refuses.
        KernelError: It does not answer, or the table never stands still.
    """
    with ns.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as channel:
        channel.settimeout(_SECONDS)
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
        if protocol == socket.NETLINK_ROUTE:
            channel.setsockopt(_SOL_NETLINK, _STRICT_CHECK, 1)
        flags = _REQUEST | (_DUMP if dump else 0)
        header = _HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0)
        for _ in range(_AGAIN):
            channel.sendto(header + body, (0, 0))
            found, whole = _answers(channel, ns.name, fixed, dump)
            if whole:
                return found
    raise KernelError(f"a netlink table of {ns.name} changes all the time", "try again")


def _answers(
    channel: socket.socket, name: str, fixed: int, dump: bool
) -> tuple[list[Message], bool]:  # fmt: skip
    """Every object, and whether nothing changed meanwhile."""
    found: list[Message] = []
    whole = True
    while True:
        try:
            answer = channel.recv(_ANSWER)
        except TimeoutError:
            raise KernelError(f"netlink of {name} does not answer") from None
        at = 0
        while at < len(answer):
            length, kind, flags, *_ = _HEADER.unpack_from(answer, at)
            body = answer[at + _HEADER.size : at + length]
            at += aligned(length)
            whole = whole and not flags & _INTERRUPTED
            if kind == _TYPE_ERROR:
                code = -_ERROR.unpack_from(body)[0]
                if code:
                    raise OSError(code, os.strerror(code))
            elif kind == _TYPE_DONE:
                code = -_ERROR.unpack_from(body)[0] if len(body) >= _ERROR.size else 0
                if code > 0 and code != errno.ENODATA:
                    raise OSError(code, os.strerror(code))
                return found, whole
            else:
                found.append((body[:fixed], attributes(body[fixed:])))
                if not dump:
                    return found, whole


def every_address(ns: NetNS) -> list[str]:
    """Every address of a namespace's interfaces, of both families.

    A point-to-point device's own is IFA_LOCAL: IFA_ADDRESS is its peer's (uapi/linux/if_addr.h).

    Raises:
        KernelError: The kernel does not answer.
    """
    found = ask(ns, _GET_ADDRESS, bytes(_ADDRESS.size), _ADDRESS.size, dump=True)
    return [
        socket.inet_ntop(fixed[0], said.get(_IFA_LOCAL) or said[_IFA_ADDRESS])
        for fixed, said in found
    ]
