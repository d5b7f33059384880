# SPDX-License-Identifier: Apache-2.0
"""The testbeds and the suites that run on them; a testbed is a folder, registered here."""

from __future__ import annotations

from harness.topology import TESTBEDS
from testbeds import one_node, two_node


def register() -> None:
    """Register the testbeds where no entry point does: in a checkout that is not installed."""
    for folder in (one_node, two_node):
        TESTBEDS.register(folder.__name__.rpartition(".")[2], folder.BLUEPRINT)
