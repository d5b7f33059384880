# SPDX-License-Identifier: Apache-2.0
"""Translated instructions and the kernel's symbols: which helpers are called."""

import pytest

from harness.bpf.calls import _calls
from harness.bpf.symbols import Symbols
from harness.bpf.syscall import CALL, EXIT, MOV64_IMM, instruction

BASE, PEER, LOOKUP = 0xFFFFFFFF81000000, 0xFFFFFFFF81001230, 0xFFFFFFFF80FFF000
TEXT = (
    f"{BASE:016x} T __bpf_call_base\n{PEER:016x} t bpf_redirect_peer\n"
    f"{LOOKUP:016x} t bpf_skb_fib_lookup\n{LOOKUP:016x} t tcx_prog_attach\t[some_module]\n"
).encode()
HIDDEN = TEXT.replace(b"ffffffff8", b"000000000")


def call(imm, src=0):
    return instruction(CALL, src=src, imm=imm)


def code(*calls):
    return instruction(MOV64_IMM, imm=CALL) + b"".join(calls) + instruction(EXIT)


def test_calls_are_told_apart():
    program = code(call(PEER - BASE), call(5, src=1), call(0), call(0), call(-0x1000))
    assert _calls(program) == ({PEER - BASE, -0x1000}, 2, False)


def test_a_tail_call_is_none_of_the_helpers():
    assert _calls(code(call(12))) == (set(), 0, True)


def test_no_call():
    assert _calls(code()) == (set(), 0, False)


@pytest.mark.parametrize(
    ("address", "name"),
    [(PEER, "bpf_redirect_peer"), (LOOKUP, "bpf_fib_lookup"), (PEER + 4, "")],
)
def test_helpers_by_their_distance(address, name):
    assert Symbols(TEXT).helper(address - BASE) == name


def test_names_are_there_where_addresses_are_hidden():
    symbols = Symbols(b"\n".join(b"0" * 16 + line[16:] for line in TEXT.splitlines()) + b"\n")
    assert "shows no addresses" in symbols.hidden
    assert symbols.has("bpf_redirect_peer") is True
    assert symbols.has("tcx_prog_attach") is True
    assert symbols.has("netkit_xmit") is False


def test_what_cannot_be_read_is_unknown():
    symbols = Symbols(b"", "/proc/kallsyms cannot be read (Operation not permitted)")
    assert symbols.has("netkit_xmit") is None
    assert symbols.hidden.endswith("not permitted)")
    assert not Symbols(TEXT).hidden
