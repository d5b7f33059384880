# SPDX-License-Identifier: Apache-2.0
"""The BPF programs of a built arm, for measures that are about them. Floor 7."""

from __future__ import annotations

from harness.bench.arms import BuiltArm
from harness.bpf.module import Module
from harness.datapath.bpf import InstalledBpf

# uapi/linux/pkt_cls.h.
TC_ACT_OK, TC_ACT_REDIRECT = 0, 7


def installed_programs(arm: BuiltArm) -> dict[str, Module]:
    """Node → the module whose programs are on its hooks; nothing if any node has none."""
    found = {
        entry.node.name: entry.installed.module
        for entry in arm.datapaths
        if isinstance(entry.installed, InstalledBpf)
    }
    return found if len(found) == len(arm.network.nodes) else {}
