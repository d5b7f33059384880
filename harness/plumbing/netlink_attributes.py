# SPDX-License-Identifier: Apache-2.0
"""Attributes of netlink messages (struct nlattr, uapi/linux/netlink.h), by hand."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_ATTRIBUTE = struct.Struct("=HH")
_KIND = 0x3FFF  # NLA_TYPE_MASK: without the flags


def aligned(length: int) -> int:
    """NLMSG_ALIGN and NLA_ALIGN: up to the next multiple of four."""
    return length + 3 & ~3


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, with what fills it up to the next."""
    size = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(size, kind) + value + bytes(aligned(size) - size)


def number(kind: int, value: int) -> bytes:
    """An attribute of 32 bits, in the machine's byte order."""
    return attribute(kind, struct.pack("=I", value))


def each_attribute(message: bytes, at: int = 0) -> Iterator[tuple[int, bytes]]:
    """The attributes that stand in a message from an offset on, in order; what is cut ends them."""
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        if length < _ATTRIBUTE.size:
            return
        yield kind & _KIND, message[at + _ATTRIBUTE.size : at + length]
        at += aligned(length)


def attributes(message: bytes, at: int = 0) -> dict[int, bytes]:
    """As `each_attribute`, by kind; the last one where several are of one."""
    return dict(each_attribute(message, at))
