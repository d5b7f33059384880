# SPDX-License-Identifier: Apache-2.0
"""What `[testbed]` asks of a node, done when a datapath is installed on it."""

from __future__ import annotations

from harness.datapath.brought.description import TestbedNeeds
from harness.topology import Family, Node

_FORWARDING = tuple(f"ipv{family.value}/conf/all/forwarding" for family in Family)


def prepare(node: Node, needs: TestbedNeeds) -> None:
    """Give the node what is needed of it; it goes with the namespace. `await_settled` follows.

    Devices that were made anew since are given it too.
    """
    node.forget_indexes()
    if not needs.forwarding:
        node.ns.sysctls(dict.fromkeys(_FORWARDING, 0))
    if needs.gateway == "lxc":
        node.hold_gateway()


def uplinks(node: Node, needs: TestbedNeeds) -> list[str]:
    """The uplinks that the datapath serves."""
    return node.uplinks[:1] if needs.uplinks == "first" else list(node.uplinks)
