# SPDX-License-Identifier: Apache-2.0
"""Hosts of a testbed that can send."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict, Unpack

from harness.topology import Family, Host, Node, Pod
from harness.traffic import Exchange, Flow, Knock, Transfer, datagrams, inject, knock, ping, stream
from harness.traffic.form import NO_FORMS, AnyForm, Front


class PingOptions(TypedDict, total=False):
    """What a ping may be told: see `traffic.ping`."""

    size: int
    ttl: int
    df: bool
    mark: int
    forms: Mapping[str, AnyForm]


class DatagramOptions(TypedDict, total=False):
    """What an exchange of datagrams may be told: see `traffic.datagrams`."""

    size: int
    ttl: int
    df: bool
    fenced: bool
    front: Front | None
    forms: Mapping[str, AnyForm]


class StreamOptions(TypedDict, total=False):
    """What a stream may be told: see `traffic.stream`."""

    deadline: float
    front: Front | None
    forms: Mapping[str, AnyForm]


class Actor:
    """A host with the testbed's address family, and verbs for traffic.

    What the host itself has and can do (`ns`, `macs`, `add_route`, …) is here, too.

    Attributes:
        host: The host itself.
        family: Address family of what it sends.
    """

    def __init__(self, host: Host, family: Family, record: Callable[[Flow], None]) -> None:
        self.host = host
        self.family = family
        self._record = record
        self.name, self.ns = host.name, host.ns
        self.addresses, self.macs = host.addresses, host.macs
        self.ifindex, self.up, self.down = host.ifindex, host.up, host.down
        self.delete_address = host.delete_address
        self.add_route, self.delete_route = host.add_route, host.delete_route
        self.add_tunnel_route = host.add_tunnel_route
        self.add_neighbour, self.delete_neighbour = host.add_neighbour, host.delete_neighbour
        self.neighbours, self.await_settled = host.neighbours, host.await_settled

    def __repr__(self) -> str:
        return self.name

    @property
    def address(self) -> str:
        """Its main address in the testbed's family."""
        return self.host.addresses[self.family]

    def add_address(self, ifname: str, address: str, prefix: int) -> None:
        """Add an address, and return when the host answers for it."""
        self.host.add_address(ifname, address, prefix)
        self.host.await_settled()

    def ping(
        self,
        target: Actor | str,
        count: int = 1,
        *,
        source: str = "",
        **options: Unpack[PingOptions],
    ) -> Exchange:
        """Ping a host or an address, from its own main address or from another."""
        destination = target if isinstance(target, str) else target.address
        exchange = ping(self.ns, self.family, source or self.address, destination, count, **options)
        self._record(exchange.flow)
        return exchange

    def datagrams(
        self, target: Actor, count: int = 1, **options: Unpack[DatagramOptions]
    ) -> Exchange:
        """Exchange UDP datagrams with another host; see `traffic.datagrams`."""
        exchange = datagrams(
            self.ns, target.ns, self.family, self.address, target.address, count,
            **options,
        )  # fmt: skip
        self._record(exchange.flow)
        return exchange

    def stream(self, target: Actor, size: int, **options: Unpack[StreamOptions]) -> Transfer:
        """Send bytes over TCP; see `traffic.stream`."""
        transfer = stream(
            self.ns, target.ns, self.family, self.address, target.address, size, **options
        )
        self._record(transfer.flow)
        return transfer

    def knock(self, front: Front, forms: Mapping[str, AnyForm] = NO_FORMS) -> Knock:
        """Ask for a TCP connection once; see `traffic.knock`."""
        found = knock(self.ns, self.family, self.address, front, forms)
        self._record(found.flow)
        return found

    def inject(
        self, ifname: str, frames: Sequence[bytes], flow: Flow | None = None, *,
        past_egress: bool = False,
    ) -> int:  # fmt: skip
        """Put crafted frames on one of its interfaces; `flow` says what they belong to.

        Returns:
            How many of them the interface's own egress dropped; see `traffic.inject`.
        """
        dropped = inject(self.ns, ifname, frames, past_egress=past_egress)
        if flow is not None:
            self._record(flow)
        return dropped


class PodActor(Actor):
    """A pod of a testbed.

    Attributes:
        node: The node it runs on.
        lxc: Its interface's other end, in its node.
        mac: The MAC of its eth0.
        lxc_mac: The MAC of its lxc.
    """

    def __init__(self, host: Pod, family: Family, record: Callable[[Flow], None]) -> None:
        super().__init__(host, family, record)
        self.node = host.node
        self.lxc, self.mac, self.lxc_mac = host.lxc, host.mac, host.lxc_mac


class NodeActor(Actor):
    """A node of a testbed.

    Attributes:
        gateway: The address its pods send everything to.
    """

    def __init__(self, host: Node, family: Family, record: Callable[[Flow], None]) -> None:
        super().__init__(host, family, record)
        self.gateway = host.gateway


def actor_of(host: Host, family: Family, record: Callable[[Flow], None]) -> Actor:
    """The host as an actor of its kind."""
    if isinstance(host, Pod):
        return PodActor(host, family, record)
    if isinstance(host, Node):
        return NodeActor(host, family, record)
    return Actor(host, family, record)


class Hosts:
    """A testbed's hosts as its attributes, with their types.

    How many there are its topology says; beyond those named here, `pod` and `node` know the type.
    """

    master: NodeActor
    node1: NodeActor
    pod1: PodActor
    pod2: PodActor
    pod3: PodActor
    pod4: PodActor
    world: Actor
    switch: Actor

    def node(self, name: str) -> NodeActor:
        """The node of that name.

        Raises:
            AttributeError: There is none.
        """
        found = getattr(self, name)
        if not isinstance(found, NodeActor):
            raise AttributeError(f"{name} is not a node")
        return found

    def pod(self, number: int) -> PodActor:
        """The pod of that number, from 1.

        Raises:
            AttributeError: There is none.
        """
        found = getattr(self, f"pod{number}")
        assert isinstance(found, PodActor)
        return found
