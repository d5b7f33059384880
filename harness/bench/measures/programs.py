# SPDX-License-Identifier: Apache-2.0
"""The BPF programs of a testbed, for measures that are about them."""

from __future__ import annotations

from harness.datapath.bpf import InstalledBpf
from harness.plumbing.errors import TrafficError
from harness.testbed import Testbed


def installed_programs(testbed: Testbed) -> dict[str, InstalledBpf]:
    """Node → its programs.

    Raises:
        TrafficError: A node has none that the harness loaded.
    """
    found = {}
    for entry in testbed.datapaths:
        if not isinstance(entry.installed, InstalledBpf):
            raise TrafficError(
                f"{entry.node.name} runs {entry.installed.name}, without programs of the harness"
            )
        found[entry.node.name] = entry.installed
    return found
