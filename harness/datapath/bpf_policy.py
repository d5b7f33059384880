# SPDX-License-Identifier: Apache-2.0
"""The agent's part of bpf/policy.c: rules and identities in their maps."""

from __future__ import annotations

import socket
import struct
from typing import Any

from harness.bpf.module import Module
from harness.datapath.policy import DIRECTIONS, Policy, networks, verdicts
from harness.plumbing.errors import BuildError, UnknownNameError
from harness.topology import Family, Node

#: Maps that only policy has.
MAPS = ("identities4", "identities6", "rules")
DEFINE = "POLICY"
_SELECTED = 0xFFFFFFFF
_RULE = {"allow": 1, "deny": 2}


class PolicyMaps:
    """The maps of one node's programs."""

    def __init__(self, module: Module, node: Node) -> None:
        self._module, self._node = module, node

    def empty(self) -> None:
        """Forget what an earlier user of the module left there."""
        for name in MAPS:
            self._module.empty(name)

    def write(self, policy: Policy) -> None:
        """Make the maps say what `policy` says.

        Raises:
            UnknownNameError: They are too small for it.
        """
        named = networks(policy.rules)
        for family in Family:
            own = {n: i for i, n in enumerate(named, 1) if n.version == family.value}
            self._write(f"identities{family.value}", {
                struct.pack("=I", n.prefixlen) + n.network_address.packed: number
                for n, number in own.items()
            })  # fmt: skip
        self._write("rules", self._rules(policy, named))

    def _rules(self, policy: Policy, named: list[Any]) -> dict[bytes, int]:
        found = {}
        identities: list[tuple[int, Any]] = [(0, None), *enumerate(named, 1)]
        for pod in self._node.pods:
            ifindex = self._node.ifindex(pod.lxc)
            for number, direction in enumerate(DIRECTIONS):
                rules = policy.of(pod.name, direction)
                if rules:
                    found[self._key(ifindex, _SELECTED, 0, 0, number)] = _RULE["allow"]
                for identity, network in identities:
                    for family in Family:
                        if network is not None and network.version != family.value:
                            continue
                        for (protocol, port), said in verdicts(rules, network, family).items():
                            key = self._key(ifindex, identity, port, protocol, number)
                            found[key] = _RULE[said]
        return found

    def _key(self, ifindex: int, identity: int, port: int, protocol: int, direction: int) -> bytes:
        key = self._module.table("rules").Key
        return bytes(key(ifindex, identity, socket.htons(port), protocol, direction))

    def _write(self, name: str, wanted: dict[bytes, int]) -> None:
        try:
            self._module.replace(name, wanted)
        except BuildError as error:
            raise UnknownNameError(
                f"policy of {self._node.name}: {error}",
                "have fewer rules, or fewer networks in them",
            ) from None
