# SPDX-License-Identifier: Apache-2.0
"""`[[map]]`: what is written into the objects' maps, a row for each pod, uplink or address."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.bpf.btf import Member
from harness.bpf.elf import MapSpec
from harness.datapath.brought import placeholders
from harness.datapath.brought.description import TestbedNeeds
from harness.datapath.brought.node import uplinks
from harness.datapath.brought.placeholders import Filled, Template, encode
from harness.datapath.brought.table import Table
from harness.topology import Family, Node

#: What there is a row for → the place whose placeholders it may name.
EACH = {
    "pod": "lxc", "uplink": "uplink", "node": "node",
    "address4": "address4", "address6": "address6", "pod_address4": "lxc", "pod_address6": "lxc",
}  # fmt: skip
_KEYS = ("name", "each", "key", "value")


@dataclass(frozen=True)
class Bytes:
    """How a key or a value is put together.

    Attributes:
        size: Of the whole, bytes.
        parts: Offset, size and what stands there; what no part covers is 0.
    """

    size: int
    parts: tuple[tuple[int, int, Template], ...]

    def fill(self, values: Mapping[str, Filled]) -> bytes:
        """Its bytes at a place."""
        whole = bytearray(self.size)
        for offset, size, template in self.parts:
            whole[offset : offset + size] = encode(template, values, size)
        return bytes(whole)


@dataclass(frozen=True)
class Filling:
    """A table `[[map]]`.

    Attributes:
        name: The map's.
        each: Of what there is a row for each: a key of `EACH`.
        key: How keys are put together.
        value: How values are.
    """

    name: str
    each: str
    key: Bytes
    value: Bytes

    def rows(self, node: Node, needs: TestbedNeeds) -> dict[bytes, bytes]:
        """What the map is to hold of a node."""
        return {
            self.key.fill(values): self.value.fill(values)
            for values in _places(node, needs, self.each)
        }


def from_table(table: Table, specs: Mapping[str, MapSpec]) -> Filling:
    """Read a table.

    Args:
        table: It.
        specs: The maps of all objects.

    Raises:
        DescriptionError: It is wrong.
    """
    name = table.name("name")
    spec = specs.get(name)
    if spec is None:
        table.fail("name", f"no object has a map {name!r}", f"use {', '.join(specs) or 'none'}")
    if spec.per_cpu:
        table.fail("name", f"map {name!r} has a value for each CPU", "fill maps without")
    each = table.choice("each", tuple(EACH))
    found = Filling(
        name, each,
        _bytes(table, "key", spec.key_size, spec.key, EACH[each]),
        _bytes(table, "value", spec.value_size, spec.value, EACH[each]),
    )  # fmt: skip
    table.end(_KEYS)
    return found


def _bytes(table: Table, key: str, size: int, fields: Mapping[str, Member], at: str) -> Bytes:
    value: Any = table.any(key)
    if not isinstance(value, dict):
        return Bytes(size, ((0, size, placeholders.check(table, key, value, size, at)),))
    parts = []
    for name, content in value.items():
        member = fields.get(name)
        if member is None:
            known = (
                f"use {', '.join(fields)}" if fields else "it has no named fields: write a value"
            )
            table.fail(f"{key}.{name}", "there is no such field", known)
        template = placeholders.check(table, f"{key}.{name}", content, member.size, at)
        parts.append((member.offset, member.size, template))
    return Bytes(size, tuple(parts))


def _places(node: Node, needs: TestbedNeeds, each: str) -> Iterator[dict[str, Filled]]:
    if each == "pod":
        yield from (placeholders.of_pod(node, pod) for pod in node.pods)
    elif each.startswith("pod_address"):
        family = Family(int(each[-1]))
        for pod in node.pods:
            for own in pod.every_address(family):
                packed = ipaddress.ip_address(own).packed
                yield {**placeholders.of_pod(node, pod), f"ip{family.value}": packed}
    elif each == "uplink":
        yield from (placeholders.of_uplink(node, one) for one in uplinks(node, needs))
    elif each == "node":
        yield placeholders.of_node(node)
    else:
        for address in map(ipaddress.ip_address, node.all_addresses()):
            if each == f"address{address.version}":
                yield {**placeholders.of_node(node), f"ip{address.version}": address.packed}
