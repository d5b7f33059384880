# SPDX-License-Identifier: Apache-2.0
"""The BPF programs of a built arm, for measures that are about them. Floor 7."""

from __future__ import annotations

from harness.bench.arms import BuiltArm
from harness.datapath.bpf import InstalledBpf


def installed_programs(arm: BuiltArm) -> dict[str, InstalledBpf]:
    """Node → its programs; nothing if any node has none."""
    found = {
        entry.node.name: entry.installed
        for entry in arm.datapaths
        if isinstance(entry.installed, InstalledBpf)
    }
    return found if len(found) == len(arm.network.nodes) else {}
