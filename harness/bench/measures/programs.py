# SPDX-License-Identifier: Apache-2.0
"""The BPF programs of a built arm, for measures that are about them."""

from __future__ import annotations

from harness.bench.arms import BuiltArm
from harness.datapath.bpf import InstalledBpf
from harness.plumbing.errors import TrafficError


def installed_programs(arm: BuiltArm) -> dict[str, InstalledBpf]:
    """Node → its programs.

    Raises:
        TrafficError: A node has none that the harness loaded.
    """
    found = {}
    for entry in arm.datapaths:
        if not isinstance(entry.installed, InstalledBpf):
            raise TrafficError(
                f"{entry.node.name} runs {entry.installed.name}, without programs of the harness"
            )
        found[entry.node.name] = entry.installed
    return found
