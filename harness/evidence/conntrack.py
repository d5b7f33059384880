# SPDX-License-Identifier: Apache-2.0
"""A node's conntrack entries, over ctnetlink. Floor 5."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from pyroute2 import NFCTSocket

from harness.netns import NetNS


@dataclass(frozen=True)
class Entry:
    """A connection as conntrack holds it.

    Attributes:
        protocol: IP protocol number.
        source: Source address of its first packet.
        destination: Destination address of its first packet.
    """

    protocol: int
    source: str
    destination: str


class Table:
    """The conntrack table of a namespace; reading costs a dump, opening a socket ten times that."""

    def __init__(self, ns: NetNS) -> None:
        self._ns = ns
        self._socket = NFCTSocket(nfgen_family=socket.AF_UNSPEC)  # both families

    def read(self) -> list[Entry]:
        """Every entry of both families."""
        with self._ns:  # pyroute2 opens the real socket at the first request, where that is made
            return [_entry(message) for message in self._socket.dump()]

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _entry(message: Any) -> Entry:
    original = message.get_attr("CTA_TUPLE_ORIG")
    addresses = original.get_attr("CTA_TUPLE_IP")
    version = "V4" if addresses.get_attr("CTA_IP_V4_SRC") else "V6"
    return Entry(
        original.get_attr("CTA_TUPLE_PROTO").get_attr("CTA_PROTO_NUM"),
        addresses.get_attr(f"CTA_IP_{version}_SRC"),
        addresses.get_attr(f"CTA_IP_{version}_DST"),
    )
