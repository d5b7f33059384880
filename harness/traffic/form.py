# SPDX-License-Identifier: Apache-2.0
"""Forms: how a flow's packets look after a translation, or inside a tunnel.

A flow's own addresses and ports have no name; every other look has one, which its legs bear as a
suffix: `request.b`, `reply.nb`, `error.n`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

#: A port that a translation chooses: the flow's first packet in that form fixes it.
ANY_PORT = range(1, 1 << 16)


class Form(NamedTuple):
    """A request's addresses and ports after a translation; its reply has them the other way round.

    What is left out stays as the flow has it. An echo has one id for both ports: `source_port`.

    Attributes:
        source: Whose address it bears.
        source_port: Its source port. A range: any port of it, learnt from the flow's first request
            that has this form, and the same from then on.
        destination: Where it goes.
        destination_port: Its destination port.
    """

    source: str = ""
    source_port: int | range = 0
    destination: str = ""
    destination_port: int = 0


class Tunnelled(NamedTuple):
    """The outer packet of a VXLAN tunnel, between two nodes.

    Attributes:
        source: Node whose pod asks.
        destination: Node whose pod answers.
        vni: The tunnel's number.
        carries: Name of the form inside; empty: the flow's own.
    """

    source: str
    destination: str
    vni: int
    carries: str = ""


class Front(NamedTuple):
    """Where a service is asked, and at which port its backend listens.

    Attributes:
        address: Of the service.
        port: Of the service.
        backend_port: Of the backend.
    """

    address: str
    port: int
    backend_port: int

    @classmethod
    def direct(cls, server: str, port: int) -> Front:
        """A server that is asked itself."""
        return cls(server, port, port)


AnyForm = Form | Tunnelled
NO_FORMS: Mapping[str, AnyForm] = MappingProxyType({})
