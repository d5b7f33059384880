# SPDX-License-Identifier: Apache-2.0
"""BTF as the compiler writes it, put together by hand, and what is none."""

import struct

import pytest

from harness.bpf.btf import Btf, Member

INT, PTR, ARRAY, STRUCT, TYPEDEF, VOLATILE, CONST = 1, 2, 3, 4, 8, 9, 10
VAR, DATASEC = 14, 15


class Types:
    """Types in the making; each `add` returns the new one's number."""

    def __init__(self):
        self.strings, self.types, self.count = b"\0", b"", 0

    def string(self, text):
        at = len(self.strings) if text else 0
        self.strings += f"{text}\0".encode() if text else b""
        return at

    def add(self, kind, name="", size=0, entries=(), extra=b"", flag=0):
        info = flag << 31 | kind << 24 | len(entries)
        self.types += struct.pack("=III", self.string(name), info, size) + extra
        self.types += b"".join(struct.pack("=III", *entry) for entry in entries)
        self.count += 1
        return self.count

    def field(self, name, kind, bits):
        return self.string(name), kind, bits

    def raw(self):
        size = len(self.types)
        header = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, size, size, len(self.strings))
        return header + self.types + self.strings


@pytest.fixture
def types():
    return Types()


def integer(types, size=4):
    return types.add(INT, "u", size, extra=bytes(4))


def test_fields_of_a_struct_by_their_names(types):
    u32, u8 = integer(types), integer(types, 1)
    mac = types.add(ARRAY, extra=struct.pack("=III", u8, u32, 6))
    alias = types.add(TYPEDEF, "__be32", u32)
    pointer = types.add(PTR, "", u32)
    fields = [types.field("ip", alias, 0), types.field("mac", mac, 32),
              types.field("", u8, 80), types.field("next", pointer, 128)]  # fmt: skip
    endpoint = types.add(STRUCT, "endpoint", 24, fields)
    found = Btf(types.raw()).fields(types.add(CONST, "", endpoint) - 1)
    assert found == {
        "ip": Member("ip", 0, 4), "mac": Member("mac", 4, 6), "next": Member("next", 16, 8),
    }  # fmt: skip


def test_bit_fields_are_left_out(types):
    u32 = integer(types)
    fields = [types.field("a", u32, 3 << 24), types.field("b", u32, 32), types.field("c", u32, 67)]
    struct_ = types.add(STRUCT, "s", 12, fields, flag=1)
    assert list(Btf(types.raw()).fields(struct_)) == ["b"]


def test_what_is_no_struct_has_no_fields(types):
    u32 = integer(types)
    btf = Btf(types.raw())
    assert btf.fields(u32) == {}
    assert btf.fields(0) == {}
    assert btf.size(0) == 0


def test_variables_of_a_section(types):
    u32 = integer(types)
    constant = types.add(CONST, "", types.add(VOLATILE, "", u32))
    first = types.add(VAR, "first", constant, extra=struct.pack("=I", 1))
    second = types.add(VAR, "second", constant, extra=struct.pack("=I", 1))
    types.add(DATASEC, ".rodata", 8, [(first, 0, 4), (second, 4, 4)])
    btf = Btf(types.raw())
    assert btf.variables(".rodata") == {
        "first": Member("first", 0, 4), "second": Member("second", 4, 4),
    }  # fmt: skip
    assert btf.variables(".data") == {}


def test_types_that_go_round_in_circles_end(types):
    types.add(TYPEDEF, "a", 2)
    types.add(TYPEDEF, "b", 1)
    types.add(ARRAY, extra=struct.pack("=III", 3, 3, 2))
    btf = Btf(types.raw())
    for ident in (1, 3):
        with pytest.raises(ValueError, match="circle"):
            btf.size(ident)


@pytest.mark.parametrize("raw", [b"", b"\x9f\xeb", bytes(24)])
def test_what_is_no_btf(raw):
    with pytest.raises(ValueError, match="BTF"):
        Btf(raw)


def test_btf_that_ends_early(types):
    integer(types)
    with pytest.raises(ValueError, match="ends early"):
        Btf(types.raw()[:30])
