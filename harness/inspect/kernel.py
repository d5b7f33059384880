# SPDX-License-Identifier: Apache-2.0
"""The kernel that a node runs, as far as it decides what can be seen: nothing is tried out."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.bpf.symbols import Symbols
from harness.datapath.features import release as numbers

#: What host routing rests on → the function that the kernel has it by.
FEATURES: Mapping[str, str] = {
    "bpf_redirect_peer": "bpf_redirect_peer",
    "bpf_redirect_neigh": "bpf_redirect_neigh",
    "bpf_fib_lookup": "bpf_skb_fib_lookup",
    "tcx": "tcx_prog_attach",
    "netkit": "netkit_xmit",
}
#: What counting in the stack takes, all of it in the kernel or in modules that are loaded: nothing
#: is loaded for it. nft_counter became a part of nf_tables in 5.17 (nft_counter_eval stays).
COUNTING = ("nft_do_chain", "nft_counter_eval", "nft_dynset_eval", "nft_rhash_lookup")
_LOCKDOWN = Path("/sys/kernel/security/lockdown")
#: 024ee930cb3c: what bpf_redirect_peer delivers is counted at the pod's device.
_PEER_COUNTS = (6, 7)


@dataclass(frozen=True)
class Kernel:
    """A running kernel.

    Attributes:
        release: As uname(2) says it.
        features: Name → whether it has it; None: cannot be told.
        counts_peer: Whether a release of that number counts what bpf_redirect_peer delivers.
        lockdown: `none`, `integrity` or `confidentiality`; "": it has none, or does not say.
        helpers_hidden: Why helpers cannot be named; "": they can.
        lacks: Functions that counting in the stack takes and that are not loaded.
    """

    release: str
    features: dict[str, bool | None]
    counts_peer: bool
    lockdown: str
    helpers_hidden: str
    lacks: tuple[str, ...] = ()


def find(symbols: Symbols) -> Kernel:
    """Look at the running kernel."""
    release = platform.release()
    return Kernel(
        release,
        {name: symbols.has(function) for name, function in FEATURES.items()},
        numbers(release) >= _PEER_COUNTS,
        _lockdown(),
        symbols.hidden,
        tuple(name for name in COUNTING if symbols.has(name) is False),
    )


def _lockdown() -> str:
    try:
        text = _LOCKDOWN.read_text(encoding="ascii")
    except OSError:
        return ""
    return text.partition("[")[2].partition("]")[0]
