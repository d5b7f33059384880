# SPDX-License-Identifier: Apache-2.0
"""What `[testbed]` asks of a node, done when a datapath is installed on it."""

from __future__ import annotations

from harness.datapath.brought.description import TestbedNeeds
from harness.topology import Family, Node

_FORWARDING = tuple(f"ipv{family.value}/conf/all/forwarding" for family in Family)


def prepare(node: Node, needs: TestbedNeeds) -> None:
    """Give the node what is needed of it; it goes with the namespace. `await_settled` follows."""
    if not needs.forwarding:
        node.ns.sysctls(dict.fromkeys(_FORWARDING, 0))
    if needs.gateway == "lxc":
        with node.together():
            for pod in node.pods:
                for family in Family:
                    node.add_address(pod.lxc, node.gateway[family], family.host_prefix)


def uplinks(node: Node, needs: TestbedNeeds) -> list[str]:
    """The uplinks that the datapath serves."""
    return node.uplinks[:1] if needs.uplinks == "first" else list(node.uplinks)
