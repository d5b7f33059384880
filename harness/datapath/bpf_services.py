# SPDX-License-Identifier: Apache-2.0
"""The agent's part of bpf/service.c: fronts, backends and networks in their maps."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_network
from typing import NamedTuple

from harness.bpf.module import Module
from harness.datapath.bpf_flows import jiffies
from harness.datapath.maglev import table
from harness.datapath.services import Backend, Service
from harness.plumbing.errors import BuildError, UnknownNameError
from harness.topology import Family, Node
from harness.topology.addressing import PODS

#: Maps that only services have.
MAPS = (
    "services4", "services6", "backends4", "backends6", "kept4", "kept6", "service_networks4",
    "service_networks6",
)  # fmt: skip
DEFINE, MAGLEV = "SERVICES", "MAGLEV"
_EMPTIED = ("services4", "services6", "kept4", "kept6", "service_networks4", "service_networks6")
_PROTOCOL = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}
_INSIDE, _OUTSIDE = 0, 1  # enum scope
_MASQUERADE, _SILENT = 1, 2  # enum service_flag
_SERVICES, _PODS = 1, 2  # enum network
#: Elements of `backends4` and `backends6` that one generation of services may use: one half.
_SLOTS = 65_536


class _Slots(NamedTuple):
    """Where a front's backends stand."""

    first: int
    number: int


def _backend(backend: Backend) -> bytes:
    """As struct backend4 and backend6 have it."""
    packed = socket.inet_pton(Family.of(backend.address).af, backend.address)
    return packed + struct.pack("!HH", backend.port, 0)


class ServiceMaps:
    """The services of one node's programs."""

    def __init__(self, module: Module, node: Node, choice: str = "random") -> None:
        self._module, self._node, self._choice = module, node, choice
        self._half = 0
        self._ids: dict[tuple[str, int, str], int] = {}

    def empty(self) -> None:
        """Forget what an earlier user of the module left there."""
        for name in _EMPTIED:
            self._module.empty(name)

    def write(self, services: Sequence[Service], networks: Sequence[str]) -> None:
        """Make the maps say what `services` say; who kept a backend that is gone may choose anew.

        Backends are written where no front of before points to: a packet in between finds those
        of either.

        Raises:
            UnknownNameError: They are too small for them.
        """
        self._half = 1 - self._half
        for family in Family:
            own = [service for service in services if service.family is family]
            self._write_networks(family, networks)
            rows, slots = self._rows(own)
            if len(slots) > _SLOTS:
                raise self._too_many(f"{len(slots)} backends for {_SLOTS} slots")
            if slots:
                self._module.fill(
                    f"backends{family.value}", self._half * _SLOTS, b"".join(map(_backend, slots))
                )
            try:
                self._module.replace(f"services{family.value}", rows)
            except BuildError as error:
                raise self._too_many(str(error)) from None
            self._forget_kept(family, own)

    def _too_many(self, why: str) -> UnknownNameError:
        return UnknownNameError(
            f"services of {self._node.name}: {why}", "have fewer services, or fewer backends"
        )

    def _write_networks(self, family: Family, networks: Iterable[str]) -> None:
        kinds = [(ip_network(text), _SERVICES) for text in networks]
        kinds.append((ip_network(PODS[family]), _PODS))
        self._module.replace(f"service_networks{family.value}", {
            struct.pack("=I", n.prefixlen) + n.network_address.packed: kind
            for n, kind in kinds if n.version == family.value
        })  # fmt: skip

    def _rows(
        self, services: Iterable[Service]
    ) -> tuple[dict[bytes, dict[str, int]], list[Backend]]:
        """The fronts of some services, and the backends that they point to."""
        here = self._addresses_here()
        rows: dict[bytes, dict[str, int]] = {}
        slots: list[Backend] = []
        for service in services:
            every = self._place(slots, service.backends)
            near = every
            if service.local:
                near = self._place(slots, [b for b in service.backends if b.address in here])
            for key, place, flags in _fronts(service, every, near):
                rows[key] = {
                    "first": place.first, "count": place.number, "id": self._id(service),
                    "affinity": jiffies(service.affinity), "flags": flags,
                }  # fmt: skip
        return rows, slots

    def _addresses_here(self) -> frozenset[str]:
        pods = (a for pod in self._node.pods for f in Family for a in pod.every_address(f))
        return frozenset([*self._node.all_addresses(), *pods])

    def _place(self, slots: list[Backend], backends: Sequence[Backend]) -> _Slots:
        first = self._half * _SLOTS + len(slots)
        placed = table(backends) if self._choice == "maglev" else backends
        slots.extend(placed)
        return _Slots(first, len(placed))

    def _id(self, service: Service) -> int:
        """A service's number, the same for as long as the node runs."""
        name = (service.address, service.port, service.protocol)
        return self._ids.setdefault(name, len(self._ids) + 1)

    def _forget_kept(self, family: Family, services: Iterable[Service]) -> None:
        known = {self._id(s): {_backend(b) for b in s.backends} for s in services}
        table = self._module.table(f"kept{family.value}")
        for key, leaf in list(table.items()):
            if bytes(leaf.backend) not in known.get(int(key.service), ()):
                del table[key]


def _fronts(service: Service, every: _Slots, near: _Slots) -> Iterator[tuple[bytes, _Slots, int]]:
    """Key of each front, its backends and its flags."""
    af, protocol = service.family.af, _PROTOCOL[service.protocol]

    def key(address: bytes, port: int, scope: int) -> bytes:
        return address + struct.pack("!HBB", port, protocol, scope)

    yield key(socket.inet_pton(af, service.address), service.port, _INSIDE), every, 0
    asked = [(socket.inet_pton(af, address), service.port) for address in service.external]
    if service.node_port:
        asked.append((bytes(service.family.host_prefix // 8), service.node_port))
    silent = _SILENT if service.local and service.backends else 0
    for address, port in asked:
        yield key(address, port, _INSIDE), every, 0 if service.local else _MASQUERADE
        yield key(address, port, _OUTSIDE), near, silent
