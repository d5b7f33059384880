# SPDX-License-Identifier: Apache-2.0
"""What this kernel can do, found by loading, never by its version number.

A probe's program calls one helper with arguments the verifier accepts; a kernel without the
helper answers "invalid func" (or "unknown func" from 6.9 on).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache

from harness.bpf import syscall
from harness.bpf.syscall import ADD64_IMM, CALL, EXIT, MOV64_IMM, MOV64_REG, ST_DW, instruction
from harness.plumbing.errors import PrivilegeError


@dataclass(frozen=True)
class Probe:
    """A probe's answer.

    Attributes:
        supported: Whether the kernel has it.
        detail: What the kernel said.
    """

    supported: bool
    detail: str


@dataclass(frozen=True)
class Helper:
    """A BPF helper that a datapath may need.

    Attributes:
        name: Without `bpf_`.
        number: BPF_FUNC_*, uapi/linux/bpf.h.
        since: The first kernel release that has it.
        arguments: Constants for r1 to r4; "buffer" is a zeroed stack buffer, "context" the packet.
    """

    name: str
    number: int
    since: str
    arguments: tuple[int | str, ...]

    def code(self) -> bytes:
        """A program that calls it, for tc."""
        out = bytearray()
        for slot in range(8):  # struct bpf_fib_lookup and bpf_redir_neigh both fit in 64 bytes
            out += instruction(ST_DW, dst=10, off=-8 * (slot + 1))
        for register, value in enumerate(self.arguments, start=1):
            if value == "context":
                out += instruction(MOV64_REG, dst=1, src=1)
            elif value == "buffer":
                out += instruction(MOV64_REG, dst=register, src=10)
                out += instruction(ADD64_IMM, dst=register, imm=-64)
            else:
                out += instruction(MOV64_IMM, dst=register, imm=int(value))
        out += instruction(CALL, imm=self.number)
        out += instruction(MOV64_IMM, dst=0) + instruction(EXIT)
        return bytes(out)


#: redirect_peer and redirect_neigh, its nexthop form too, came with 5.10 (9aa1206e8f48,
#: b4ab31414970, ba452c9e996d), fib_lookup with 4.18.
HELPERS: dict[str, Helper] = {
    helper.name: helper
    for helper in (
        Helper("redirect_peer", 155, "5.10", (1, 0)),
        Helper("redirect_neigh", 152, "5.10", (1, 0, 0, 0)),
        Helper("fib_lookup", 69, "4.18", ("context", "buffer", 64, 0)),
    )
}

Features = dict[str, Probe]


def probe_helper(helper: Helper) -> Probe:
    """Ask the running kernel for one helper.

    Raises:
        PrivilegeError: The kernel lets us load nothing at all.
    """
    try:
        os.close(syscall.load_program(syscall.PROG_TYPE_SCHED_CLS, helper.code()))
    except PermissionError as error:
        # EACCES is the verifier's, EPERM the privilege's.
        if not error.filename:
            raise PrivilegeError(
                f"the kernel refuses to load BPF programs ({error.strerror})",
                "run as root with CAP_BPF (or SYS_ADMIN); before Linux 5.11, raise `ulimit -l`",
            ) from None
        return Probe(False, _last_line(error))
    except OSError as error:
        return Probe(False, _last_line(error))
    return Probe(True, "loads")


def _last_line(error: OSError) -> str:
    lines = [line for line in str(error.filename or "").splitlines() if "processed" not in line]
    return lines[-1] if lines else str(error.strerror)


@lru_cache(maxsize=1)
def running_kernel() -> Features:
    """Every helper of `HELPERS`, asked of the running kernel once."""
    return {name: probe_helper(helper) for name, helper in HELPERS.items()}
