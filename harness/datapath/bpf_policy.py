# SPDX-License-Identifier: Apache-2.0
"""The agent's part of bpf/policy.c and bpf/flow.c: rules, identities and timeouts in their maps."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import time
from dataclasses import dataclass, fields
from typing import Any

from harness.bpf.module import Module
from harness.datapath.policy import DIRECTIONS, Policy, Timeouts, networks, verdicts
from harness.plumbing.errors import BuildError, UnknownNameError
from harness.topology import Family, Node

#: Maps that only policy has.
MAPS = (
    "flows4", "flows6", "fragments4", "fragments6", "flow_settings", "identities4", "identities6",
    "rules", "police_scratch4", "police_scratch6",
)  # fmt: skip
_EMPTIED = (
    "flows4", "flows6", "fragments4", "fragments6", "identities4", "identities6", "rules",
)  # fmt: skip
_SELECTED = 0xFFFFFFFF
_RULE = {"allow": 1, "deny": 2}
_CLOCK_MONOTONIC_COARSE = 6  # its resolution is a jiffy (ktime_get_coarse_ts64())
_LEAST, _PER_CPU = 16_384, 256  # entries: each CPU hoards up to 128 free ones before 6.16


def defines() -> tuple[str, ...]:
    """The macros that build policy in; flows' maps are as large as the machine needs."""
    return "POLICY", f"FLOWS={max(_LEAST, _PER_CPU * (os.cpu_count() or 1))}"


def jiffies(seconds: float) -> int:
    """A time in the kernel's ticks; what is not 0 is one at least."""
    return min(round(seconds / time.clock_getres(_CLOCK_MONOTONIC_COARSE)), 2**31 - 1) or (
        1 if seconds else 0
    )


@dataclass(frozen=True)
class FlowEntry:
    """One of the two entries of a flow.

    Attributes:
        source: The address in its key, and `port` its port.
        destination: Likewise, and `to_port`.
        protocol: IP protocol number.
        reply: Whether it is that of the way back.
        expires: When, in jiffies.
    """

    source: str
    port: int
    destination: str
    to_port: int
    protocol: int
    reply: bool
    expires: int


def _entry(family: Family, key: bytes, leaf: Any) -> FlowEntry:
    size = family.host_prefix // 8
    source, destination = (socket.inet_ntop(family.af, key[at : at + size]) for at in (0, size))
    port, to_port, protocol = struct.unpack_from("!HHB", key, 2 * size)
    return FlowEntry(source, port, destination, to_port, protocol, bool(leaf.state.reply),
                     int(leaf.state.expires))  # fmt: skip


class PolicyMaps:
    """The maps of one node's programs."""

    def __init__(self, module: Module, node: Node) -> None:
        self._module, self._node = module, node
        self._generation = 0

    def empty(self) -> None:
        """Forget what an earlier user of the module left there."""
        for name in _EMPTIED:
            self._module.empty(name)

    def flows(self, family: Family) -> list[FlowEntry]:
        """What flow.c remembers."""
        table = self._module.table(f"flows{family.value}")
        return [_entry(family, bytes(key), leaf) for key, leaf in table.items()]

    def forget(self, family: Family, *, reply: bool) -> None:
        """Delete the entries of one direction."""
        table = self._module.table(f"flows{family.value}")
        for key, leaf in list(table.items()):
            if bool(leaf.state.reply) is reply:
                del table[key]

    def write(self, policy: Policy) -> None:
        """Make the maps say what `policy` says; every flow is judged anew then.

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
        self._write_settings(policy.timeouts)

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

    def _write_settings(self, timeouts: Timeouts) -> None:
        self._generation += 1
        table = self._module.table("flow_settings")
        leaf = table.Leaf(generation=self._generation)
        each = {field.name: getattr(timeouts, field.name) for field in fields(timeouts)}
        for name, seconds in each.items():
            setattr(leaf, name, jiffies(seconds))
        leaf.renewal = jiffies(min([1, *(seconds / 8 for seconds in each.values() if seconds)]))
        table[ctypes.c_int(0)] = leaf
