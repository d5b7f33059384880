# SPDX-License-Identifier: Apache-2.0
"""Services that the suites ask, of both families and protocols, and traffic that asks them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from socket import SOCK_DGRAM, socket
from typing import Literal, NamedTuple

from harness.datapath import NodeSettings
from harness.datapath.services import Backend, Service
from harness.plumbing.errors import TrafficError
from harness.testbed import Actor
from harness.topology import Family
from harness.topology.addressing import Addresses
from harness.traffic import ANY_PORT, Form, Front
from harness.traffic.fence import Fence, pinned
from harness.traffic.flow import next_identity
from harness.traffic.form import AnyForm

_PROTOCOLS: tuple[Literal["tcp", "udp"], ...] = ("tcp", "udp")
PORT, BACKEND_PORT = 80, 8080
#: Datagrams, and bytes of the stream, with which a service is asked.
COUNT, SIZE = 3, 20_000
_IDLE = 10  # services' worth of rules that nobody asks


@dataclass(frozen=True)
class Served:
    """A service of a testbed.

    Attributes:
        number: Which: the last part of its addresses, and of its NodePort.
        backends: Who answers, at port 8080.
        external: Another address of it.
        affinity: Seconds for which a client keeps its backend.
        local: externalTrafficPolicy: Local.
    """

    number: int
    backends: tuple[Addresses, ...] = ()
    external: Addresses | None = None
    affinity: float = 0
    local: bool = False

    def address(self, family: Family) -> str:
        """Its ClusterIP."""
        return (
            f"172.16.200.{self.number}" if family is Family.ipv4 else f"fd00:5e::200:{self.number}"
        )

    def services(self) -> Iterator[Service]:
        """What a node is told of it."""
        for family in Family:
            ends = tuple(Backend(backend[family], BACKEND_PORT) for backend in self.backends)
            external = (self.external[family],) if self.external else ()
            for protocol in _PROTOCOLS:
                yield Service(
                    self.address(family), PORT, protocol, ends, 30_000 + self.number, external,
                    self.affinity, self.local,
                )  # fmt: skip

    def cluster_ip(self, family: Family) -> Front:
        """Where pods ask it."""
        return Front(self.address(family), PORT, BACKEND_PORT)

    def node_port(self, node: Actor) -> Front:
        """Where it is asked at a node."""
        return Front(node.address, 30_000 + self.number, BACKEND_PORT)


def settings(*served: Served) -> NodeSettings:
    """What every node is asked for, so that it translates services."""
    asked = tuple(service for each in served for service in each.services())
    return NodeSettings(services="bpf", legacy_services=_IDLE, used_services=asked)


def forms(backend: Actor, **sources: str) -> dict[str, AnyForm]:
    """The forms of who asks a service: `b` as the client itself, others as who is named."""
    seen_as = {"b": Form(destination=backend.address, destination_port=BACKEND_PORT)}
    named = {
        name: Form(source, ANY_PORT, backend.address, BACKEND_PORT)
        for name, source in sources.items()
    }
    return {**seen_as, **named}


class Answered(NamedTuple):
    """What came of asking.

    Attributes:
        lost: Datagrams without a reply.
        intact: Whether a TCP stream arrived whole; False, too, where a datagram was lost.
    """

    lost: int
    intact: bool


WHOLE = Answered(0, intact=True)


def ask(
    client: Actor, server: Actor, front: Front | None, looks: Mapping[str, AnyForm]
) -> Answered:  # fmt: skip
    """Ask a service by UDP and, if that was answered, by TCP; no connection waits to be refused.

    Args:
        client: Who asks.
        server: The backend.
        front: Where the service is asked; None: the server itself.
        looks: The flows' forms.
    """
    lost = client.datagrams(server, COUNT, forms=looks, front=front).lost
    if lost:
        return Answered(lost, intact=False)
    try:
        sent = client.stream(server, SIZE, forms=looks, front=front)
    except TrafficError:
        return Answered(lost, intact=False)
    return Answered(lost, sent.received_sha256 == sent.sent_sha256)


def chosen(
    client: Actor, backends: Sequence[Actor], front: Front, flows: int, packets: int = 1
) -> list[list[str]]:
    """Send datagrams in flows of their own ports; of each flow, whom its packets reached."""
    reached: list[list[str]] = [[] for _ in range(flows)]
    number, af = struct.Struct("!I"), client.family.af
    with ExitStack() as closing:
        fence = closing.enter_context(Fence(client.ns))
        ends = {}
        for backend in backends:
            end = ends[backend.name] = closing.enter_context(backend.ns.socket(af, SOCK_DGRAM))
            end.setblocking(False)
            end.bind((backend.address, front.backend_port))
        closing.enter_context(pinned())
        for flow in range(flows):
            with client.ns.socket(af, SOCK_DGRAM) as asking:
                asking.bind((client.address, next_identity()))
                for _ in range(packets):
                    asking.sendto(number.pack(flow), (front.address, front.port))
            if flow == flows - 1:
                fence.pass_()
            for name, end in ends.items():
                for payload in _read(end):
                    reached[number.unpack(payload)[0]].append(name)
    return reached


def _read(sock: socket) -> Iterator[bytes]:
    while True:
        try:
            yield sock.recv(64)
        except BlockingIOError:
            return
