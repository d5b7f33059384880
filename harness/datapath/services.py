# SPDX-License-Identifier: Apache-2.0
"""Services in use: a front and its backends, as an operator asks a node for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import combinations
from typing import Literal

from harness.plumbing.errors import UnknownNameError
from harness.topology.addressing import PODS, Family

#: What Kubernetes gives away by default (--service-node-port-range).
NODE_PORTS = range(30_000, 32_768)
#: Ports that a node gives to flows which it sends on in its own name: those that its sockets are
#: not given (net.ipv4.ip_local_port_range).
NAT_PORTS = range(61_000, 65_536)
#: Networks that the addresses of services are taken from, the idle ones' too.
SERVICE_NETWORKS = ("172.16.0.0/16", "fd00:5e::/64")
PROTOCOLS = ("tcp", "udp")


class ServiceError(UnknownNameError):
    """A service, or a service network, that no node can have."""


def _family(address: str, what: str) -> Family:
    try:
        return Family(ip_address(address).version)
    except ValueError:
        raise ServiceError(f"{what} {address!r} is not an IP address") from None


def _check_port(port: int, what: str) -> None:
    if not 1 <= port <= 65_535:
        raise ServiceError(f"{what}: port {port} is not between 1 and 65535")


@dataclass(frozen=True)
class Backend:
    """Who answers for a service: a pod, or a process of a node.

    Attributes:
        address: Its address.
        port: Where it listens.
    """

    address: str
    port: int


@dataclass(frozen=True)
class Service:
    """One front and its backends.

    Attributes:
        address: The service's own address, its ClusterIP.
        port: At which it is asked.
        protocol: `tcp` or `udp`.
        backends: Who answers; none: nobody, and the node says so.
        node_port: Port by which every address of a node answers for it; 0: none.
        external: Other addresses that answer for it.
        affinity: Seconds for which a client stays with its backend; 0: it does not.
        local: From outside the cluster only backends of the same node, which see the client's own
            address (externalTrafficPolicy: Local).

    Raises:
        ServiceError: No node can have it.
    """

    address: str
    port: int
    protocol: Literal["tcp", "udp"]
    backends: tuple[Backend, ...] = ()
    node_port: int = 0
    external: tuple[str, ...] = ()
    affinity: float = 0
    local: bool = False

    def __post_init__(self) -> None:
        family = _family(self.address, "service address")
        if self.protocol not in PROTOCOLS:
            raise ServiceError(
                f"service {self}: protocol {self.protocol!r} cannot be translated",
                f"use {' or '.join(PROTOCOLS)}",
            )
        _check_port(self.port, f"service {self}")
        for backend in self.backends:
            of = _family(backend.address, f"service {self}: backend")
            if of is not family:
                raise ServiceError(
                    f"service {self}: backend {backend.address} is {of.name}",
                    f"name backends of {family.name}",
                )
            _check_port(backend.port, f"service {self}: backend {backend.address}")
        for address in self.external:
            of = _family(address, f"service {self}: external address")
            if of is not family:
                raise ServiceError(
                    f"service {self}: external address {address} is {of.name}",
                    f"name addresses of {family.name}",
                )
        if self.node_port and self.node_port not in NODE_PORTS:
            raise ServiceError(
                f"service {self}: NodePort {self.node_port} is not between"
                f" {NODE_PORTS.start} and {NODE_PORTS.stop - 1}"
            )
        if self.affinity < 0:
            raise ServiceError(
                f"service {self}: an affinity of {self.affinity:g} s", "use 0 or more"
            )

    @property
    def family(self) -> Family:
        """Its address family."""
        return Family(ip_address(self.address).version)

    def fronts(self) -> Iterable[tuple[str, int]]:
        """Every address and port at which it is asked, without those of nodes."""
        return [(address, self.port) for address in (self.address, *self.external)]

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}/{self.protocol}"


def _networks(networks: Sequence[str]) -> list[IPv4Network | IPv6Network]:
    found = []
    for text in networks:
        try:
            found.append(ip_network(text))
        except ValueError as error:
            raise ServiceError(f"service network {text!r}: {error}") from None
    for network in found:
        pods = ip_network(PODS[Family(network.version)])
        if network.overlaps(pods):
            raise ServiceError(
                f"service network {network} overlaps the pods' {pods}", "name another network"
            )
    for one, other in combinations(found, 2):
        if one.version == other.version and one.overlaps(other):
            raise ServiceError(
                f"service networks {one} and {other} overlap", "name networks apart from each other"
            )
    return found


def check(services: Sequence[Service], networks: Sequence[str]) -> None:
    """Refuse services that cannot stand on one node together.

    Raises:
        ServiceError: Networks overlap, a service is outside them, or two have the same front.
    """
    known = _networks(networks)
    asked: dict[tuple[str, int | str, str], Service] = {}
    for service in services:
        if not any(ip_address(service.address) in network for network in known):
            raise ServiceError(
                f"service {service} is in no service network", f"use one of {', '.join(networks)}"
            )
        fronts = [(address, port, service.protocol) for address, port in service.fronts()]
        if service.node_port:
            fronts.append((service.family.name, service.node_port, service.protocol))
        for front in fronts:
            if front in asked:
                raise ServiceError(f"two services are asked at {front[0]}, {front[2]} {front[1]}")
            asked[front] = service


def gone(before: Sequence[Service], after: Sequence[Service]) -> set[tuple[str, Backend]]:
    """Backends, with their protocol, that no service has any more."""

    def ends(services: Sequence[Service]) -> set[tuple[str, Backend]]:
        return {(each.protocol, backend) for each in services for backend in each.backends}

    return ends(before) - ends(after)


#: A service of each family that nobody asks: fronts are looked up, none is found.
IDLE = tuple(Service(address, 80, "tcp") for address in ("172.16.0.80", "fd00:5e::80"))
