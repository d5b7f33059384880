# SPDX-License-Identifier: Apache-2.0
"""What makes a packet part of a flow."""

from __future__ import annotations

import itertools
import socket
import struct
from dataclasses import dataclass, field

from harness.topology import Family
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
        translated: Addresses the client may be seen under, where something masquerades.
    """

    family: Family
    protocol: int
    client: str
    server: str
    client_port: int
    server_port: int
    sent: list[int] = field(default_factory=list)
    translated: tuple[str, ...] = ()

    @property
    def is_icmp(self) -> bool:
        """Whether it is a ping."""
        return self.protocol == ICMP_PROTOCOL[self.family]

    def is_client(self, address: str, port: int) -> bool:
        """Whether a packet's other end is the client, under its own or a translated address."""
        if address == self.client:
            return port == self.client_port
        return address in self.translated

    def __str__(self) -> str:
        names = {socket.IPPROTO_UDP: "UDP", socket.IPPROTO_TCP: "TCP"}
        name = names.get(self.protocol, "ping")
        return f"{name} {self.client} → {self.server}, {len(self.sent)} sent"
