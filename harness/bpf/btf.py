# SPDX-License-Identifier: Apache-2.0
"""Type information of an object: where its constants lie, and what its maps' keys and values hold.

Documentation/bpf/btf.rst. The bytes come from libbpf after it opened the object, as the offsets of
variables are filled in only then.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_MAGIC = 0xEB9F
_INT, _ARRAY, _STRUCT, _UNION, _ENUM, _FUNC_PROTO, _VAR, _DATASEC = 1, 3, 4, 5, 6, 13, 14, 15
_PTR, _DECL_TAG, _ENUM64 = 2, 17, 19
#: Typedef, volatile, const, restrict, and a type tag: the type is another's under a name.
_THROUGH = (8, 9, 10, 11, 18)
_KIND_BYTES = {_INT: 4, _ARRAY: 12, _VAR: 4, _DECL_TAG: 4}
_POINTER = 8  # bytes, on every machine: BPF's
_ENTRY_BYTES = {_STRUCT: 12, _UNION: 12, _ENUM: 8, _FUNC_PROTO: 8, _DATASEC: 12, _ENUM64: 12}


@dataclass(frozen=True)
class Member:
    """A variable of a section, or a field of a struct.

    Attributes:
        name: Its name.
        offset: From the beginning, bytes.
        size: Bytes.
    """

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class _Type:
    name: str
    kind: int
    count: int
    size: int  # or the type it refers to
    extra: bytes


class Btf:
    """An object's types.

    Args:
        raw: As the object holds them.

    Raises:
        ValueError: They are not BTF.
    """

    def __init__(self, raw: bytes) -> None:
        try:
            magic, _, _, header, types, length, strings, _ = struct.unpack_from("=HBBIIIII", raw)
            if magic != _MAGIC:
                raise ValueError("no BTF")
            self._strings = raw[header + strings :]
            self._types = [_Type("void", 0, 0, 0, b"")]
            self._parse(raw[header + types : header + types + length])
        except (struct.error, IndexError):
            raise ValueError("BTF that ends early") from None

    def _parse(self, raw: bytes) -> None:
        at = 0
        while at < len(raw):
            name, info, size = struct.unpack_from("=III", raw, at)
            kind, count = info >> 24 & 0x1F, info & 0xFFFF
            extra = _KIND_BYTES.get(kind, 0) + _ENTRY_BYTES.get(kind, 0) * count
            at += 12 + extra
            self._types.append(_Type(self._string(name), kind, count, size, raw[at - extra : at]))

    def _string(self, at: int) -> str:
        return self._strings[at:].partition(b"\0")[0].decode(errors="replace")

    def _plain(self, ident: int) -> _Type:
        """A type without the names it goes by."""
        found = self._types[ident]
        for _ in self._types:
            if found.kind not in _THROUGH:
                return found
            found = self._types[found.size]
        raise ValueError("types that go round in a circle")

    def size(self, ident: int) -> int:
        """A type's size, bytes; 0 where it has none."""
        factor = 1
        for _ in self._types:
            found = self._plain(ident)
            if found.kind != _ARRAY:
                sized = found.kind in (_INT, _STRUCT, _UNION, _ENUM, _ENUM64)
                return factor * (_POINTER if found.kind == _PTR else found.size if sized else 0)
            ident, _, count = struct.unpack("=III", found.extra)
            factor *= count
        raise ValueError("types that go round in a circle")

    def fields(self, ident: int) -> dict[str, Member]:
        """The named fields of a struct that lie on whole bytes; none: it is no struct."""
        found = self._plain(ident)
        if found.kind != _STRUCT:
            return {}
        fields = {}
        for name, kind, bits in struct.iter_unpack("=III", found.extra):
            offset = bits & 0xFFFFFF  # above it, with the kind flag, a bit field's width
            if name and not bits >> 24 and not offset % 8:
                member = Member(self._string(name), offset // 8, self.size(kind))
                fields[member.name] = member
        return fields

    def variables(self, section: str) -> dict[str, Member]:
        """The variables of a section such as `.rodata`."""
        found = {}
        for datasec in self._types:
            if datasec.kind == _DATASEC and datasec.name == section:
                for ident, offset, size in struct.iter_unpack("=III", datasec.extra):
                    name = self._types[ident].name
                    found[name] = Member(name, offset, size)
        return found
