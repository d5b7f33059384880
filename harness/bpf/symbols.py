# SPDX-License-Identifier: Apache-2.0
"""The kernel's symbols: which functions it has, and where helpers are.

Names are in /proc/kallsyms for everybody; addresses are zeros without SYSLOG, or where
kernel.kptr_restrict hides them.
"""

from __future__ import annotations

import re
from pathlib import Path

_KALLSYMS = Path("/proc/kallsyms")
#: Translated calls are relative to it: __BPF_CALL_IMM(), include/linux/filter.h.
_BASE = "__bpf_call_base"
_FUNCTION = re.compile(rb"^([0-9a-f]+) [tTwW] ((?:bpf|__bpf|xdp|sk)_\w+)$", re.M)
#: Helpers that the kernel implements by a function of another name, of each type of program.
_SAME = {
    "bpf_skb_fib_lookup": "bpf_fib_lookup",
    "bpf_xdp_fib_lookup": "bpf_fib_lookup",
    "bpf_xdp_redirect": "bpf_redirect",
    "bpf_xdp_redirect_map": "bpf_redirect_map",
}


class Symbols:
    """The symbols of the running kernel.

    Attributes:
        hidden: Why helpers cannot be named; "": they can.
    """

    def __init__(self, text: bytes, unreadable: str = "") -> None:
        """Take what kallsyms holds.

        Args:
            text: Its text.
            unreadable: Why it could not be read.
        """
        self._names = frozenset(re.findall(rb"^[0-9a-f]+ \w (\S+)", text, re.M))
        functions: dict[str, int] = {
            name.decode(): int(at, 16) for at, name in _FUNCTION.findall(text)
        }
        self._base = functions.get(_BASE, 0)
        self._helpers = {at: name for name, at in functions.items() if name.startswith("bpf_")}
        self.hidden = unreadable
        if not unreadable and not self._base:
            self.hidden = (
                "/proc/kallsyms shows no addresses (SYSLOG is missing, or kernel.kptr_restrict is"
                " set)"
            )

    def has(self, name: str) -> bool | None:
        """Whether the kernel, or a module that is loaded, has a function; None: cannot be told."""
        return name.encode() in self._names if self._names else None

    def helper(self, imm: int) -> str:
        """The helper that a translated call goes to; "": an unknown function."""
        name: str = self._helpers.get(self._base + imm, "")
        return _SAME.get(name, name)


def read_symbols() -> Symbols:
    """Those of the running kernel."""
    try:
        return Symbols(_KALLSYMS.read_bytes())
    except OSError as error:
        return Symbols(b"", f"/proc/kallsyms cannot be read ({error.strerror})")
