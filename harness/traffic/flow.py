# SPDX-License-Identifier: Apache-2.0
"""What makes a packet part of a flow."""

from __future__ import annotations

import itertools
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from harness.topology import Family
from harness.traffic.form import AnyForm, Form, Tunnelled
from harness.traffic.headers import ICMP_PROTOCOL

#: The first bytes of a datagram's payload: its number.
NUMBER = struct.Struct("!I")

_identities = itertools.count()


def next_identity() -> int:
    """An ICMP id or port that no other flow of this process used lately: 20000 to 59999."""
    return 20_000 + next(_identities) % 40_000


@dataclass
class Flow:
    """Requests from a client to a server, and their replies.

    Every packet carries its number: an echo's sequence, a datagram's first four payload bytes
    (`NUMBER`).

    Attributes:
        family: Address family.
        protocol: IP protocol number: ICMP, ICMPv6, UDP or TCP.
        client: Address that asks.
        server: Address that answers.
        client_port: Port, or the echo's id.
        server_port: Port, or the echo's id.
        sent: Numbers of the requests, in the order sent.
        forms: Name → how its packets look after a translation. Without a name: as it sends them.
        learnt: Form → the port that a translation chose.
    """

    family: Family
    protocol: int
    client: str
    server: str
    client_port: int
    server_port: int
    sent: list[int] = field(default_factory=list)
    forms: Mapping[str, AnyForm] = field(default_factory=dict)
    learnt: dict[str, int] = field(default_factory=dict)

    @property
    def is_icmp(self) -> bool:
        """Whether it is a ping."""
        return self.protocol == ICMP_PROTOCOL[self.family]

    @cached_property
    def translations(self) -> dict[str, Form]:
        """Every form of its own packets, its own without a name first."""
        named = {name: form for name, form in self.forms.items() if isinstance(form, Form)}
        return {"": Form(), **named}

    @cached_property
    def tunnels(self) -> dict[str, Tunnelled]:
        """Every form of a packet that carries one of its own."""
        return {name: form for name, form in self.forms.items() if isinstance(form, Tunnelled)}

    @cached_property
    def addresses(self) -> frozenset[str]:
        """Every address that its own packets come from, in any form."""
        forms = self.translations.values()
        others = {text for form in forms for text in (form.source, form.destination) if text}
        return frozenset({self.client, self.server} | others)

    def ends(self, form: Form) -> tuple[str, tuple[str, int]]:
        """The source of a form's requests, and their destination with its port."""
        destination = form.destination or self.server
        return form.source or self.client, (destination, form.destination_port or self.server_port)

    @property
    def learns(self) -> bool:
        """Whether a port that a translation chooses is still to be seen."""
        open_ports = (n for n, f in self.translations.items() if isinstance(f.source_port, range))
        return any(name not in self.learnt for name in open_ports)

    def has_port(self, name: str, port: int, learn: bool) -> bool:
        """Whether a port, or an echo's id, is the requester's in a form.

        Args:
            name: Of the form.
            port: What was seen.
            learn: Whether a form that leaves it open takes it from now on.
        """
        wanted = self.translations[name].source_port
        if not isinstance(wanted, range):
            return port == (wanted or self.client_port)
        if learn and name not in self.learnt and port in wanted:
            self.learnt[name] = port
        return port == self.learnt.get(name)

    def __str__(self) -> str:
        names = {socket.IPPROTO_UDP: "UDP", socket.IPPROTO_TCP: "TCP"}
        name = names.get(self.protocol, "ping")
        return f"{name} {self.client} → {self.server}, {len(self.sent)} sent"
