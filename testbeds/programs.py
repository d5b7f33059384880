# SPDX-License-Identifier: Apache-2.0
"""The bundled programs on a testbed's nodes, for tests that look at them directly."""

from __future__ import annotations

from harness.bpf.module import Module
from harness.datapath.bpf import InstalledBpf
from harness.testbed import Testbed


def module_of(testbed: Testbed, node: str) -> Module:
    """The programs that a node has loaded.

    Raises:
        TypeError: Its datapath is none of the bundled ones in BPF.
    """
    installed = testbed.datapath_of(node).installed
    if not isinstance(installed, InstalledBpf):
        raise TypeError(f"{node} runs {installed.name}, which has no program of ours")
    return installed.module
