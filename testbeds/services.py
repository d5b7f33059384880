# SPDX-License-Identifier: Apache-2.0
"""Services that the suites ask, of both families and protocols, and traffic that asks them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from socket import SOCK_DGRAM, SOCK_STREAM, SocketKind, socket
from typing import Literal, NamedTuple

from harness.datapath import NodeSettings, Policy
from harness.datapath.services import Backend, Service
from harness.plumbing.closable import Closable
from harness.plumbing.errors import TrafficError
from harness.testbed import Actor
from harness.topology import Family
from harness.topology.addressing import Addresses
from harness.traffic import ANY_PORT, Form, Front
from harness.traffic.fence import Fence, pinned
from harness.traffic.flow import NUMBER, next_identity
from harness.traffic.form import AnyForm

_PROTOCOLS: tuple[Literal["tcp", "udp"], ...] = ("tcp", "udp")
PORT, BACKEND_PORT = 80, 8080
#: Datagrams, and bytes of the stream, with which a service is asked.
COUNT, SIZE = 3, 20_000
_DEADLINE = 5.0  # seconds
_PATIENCE = 8.0  # seconds: who is not connected by then never is
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


def told(*served: Served) -> tuple[Service, ...]:
    """What nodes are told of some services."""
    return tuple(service for each in served for service in each.services())


def settings(
    *served: Served,
    choice: Literal["random", "maglev"] = "random",
    policy: Policy | None = None,
) -> NodeSettings:
    """What every node is asked for, so that it translates services."""
    return NodeSettings(
        services="bpf", legacy_services=_IDLE, used_services=told(*served), choice=choice,
        policy=policy,
    )  # fmt: skip


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
        sent = client.stream(server, SIZE, deadline=_PATIENCE, forms=looks, front=front)
    except TrafficError:
        return Answered(lost, intact=False)
    return Answered(lost, sent.received_sha256 == sent.sent_sha256)


class Asking(Closable):
    """UDP flows from a client to a service, and whom of its backends each reaches.

    Attributes:
        fence: Tells that what the client sent has come to its end.
    """

    def __init__(self, client: Actor, backends: Sequence[Actor], front: Front) -> None:
        """Listen at the backends, UDP and TCP.

        Args:
            client: Who asks.
            backends: Who may answer.
            front: Where the service is asked.
        """
        self._client, self._front = client, front
        self._closing = ExitStack()
        self._ends: dict[tuple[str, SocketKind], socket] = {}
        self._flows: list[socket] = []
        try:
            self.fence = self._closing.enter_context(Fence(client.ns))
            for backend in backends:
                for kind in (SOCK_DGRAM, SOCK_STREAM):
                    end = self._closing.enter_context(backend.ns.socket(client.family.af, kind))
                    end.bind((backend.address, front.backend_port))
                    end.setblocking(False)
                    self._ends[backend.name, kind] = end
                end.listen()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close every socket."""
        self._closing.close()

    def _from(self, kind: SocketKind, address: str = "") -> socket:
        end = self._closing.enter_context(self._client.ns.socket(self._client.family.af, kind))
        end.bind((address or self._client.address, next_identity()))
        return end

    def begin(self, flows: int, addresses: Sequence[str] = ("",)) -> None:
        """Begin that many more UDP flows, each from a port of its own.

        Args:
            flows: How many from each address.
            addresses: Of the client; by default its main one.
        """
        self._flows += [self._from(SOCK_DGRAM, each) for each in addresses for _ in range(flows)]

    def reached(self) -> list[str]:
        """Send a datagram in each flow; of each, whom it reached: none, one, or several names."""
        found: list[list[str]] = [[] for _ in self._flows]
        with pinned():
            for number, flow in enumerate(self._flows):
                flow.sendto(NUMBER.pack(number), (self._front.address, self._front.port))
                self._note(found)  # at once: a socket's buffer holds 277 of them
            self.fence.pass_()
            self._note(found)
        return [" ".join(names) for names in found]

    def _note(self, found: list[list[str]]) -> None:
        for (name, kind), end in self._ends.items():
            for payload in unread(end) if kind == SOCK_DGRAM else ():
                found[NUMBER.unpack(payload)[0]].append(name)

    def connection(self, backend: Actor, tries: int = 64) -> tuple[socket, socket]:
        """A TCP connection that reached a backend, both ends.

        Raises:
            TrafficError: None of that many did.
        """
        for _ in range(tries):
            asking = self._from(SOCK_STREAM)
            with pinned():
                asking.settimeout(_DEADLINE)
                asking.connect((self._front.address, self._front.port))
            try:
                answering, _ = self._ends[backend.name, SOCK_STREAM].accept()
            except BlockingIOError:
                continue
            answering.setblocking(False)
            return asking, self._closing.enter_context(answering)
        raise TrafficError(f"none of {tries} connections reached {backend}")


def unread(sock: socket) -> Iterator[bytes]:
    """What a socket that does not block has to read."""
    while True:
        try:
            yield sock.recv(64)
        except BlockingIOError:
            return
