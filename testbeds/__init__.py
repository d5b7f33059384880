# SPDX-License-Identifier: Apache-2.0
"""The testbeds and the suites that run on them; a testbed is a folder, registered here."""

from __future__ import annotations

from harness.plumbing.errors import UnknownNameError
from harness.topology import Topology
from testbeds import one_node, two_node

TESTBEDS: dict[str, Topology] = {
    "one_node": one_node.TOPOLOGY,
    "two_node": two_node.TOPOLOGY,
}


def find(name: str) -> Topology:
    """The topology of the testbed of that name.

    Raises:
        UnknownNameError: There is none; the message lists those there are.
    """
    if name not in TESTBEDS:
        raise UnknownNameError(f"testbed {name!r} is unknown", f"use {', '.join(TESTBEDS)}")
    return TESTBEDS[name]
