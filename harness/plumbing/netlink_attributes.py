# SPDX-License-Identifier: Apache-2.0
"""Attributes of netlink messages (struct nlattr, uapi/linux/netlink.h), by hand."""

from __future__ import annotations

import struct

_ATTRIBUTE = struct.Struct("=HH")


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


def attributes(message: bytes, at: int = 0) -> dict[int, bytes]:
    """The attributes that stand in a message from an offset on, by kind; what is cut ends them."""
    found = {}
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        found[kind] = message[at + _ATTRIBUTE.size : at + length]
        at += max(aligned(length), _ATTRIBUTE.size)
    return found
