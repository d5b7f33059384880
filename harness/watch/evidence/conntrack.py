# SPDX-License-Identifier: Apache-2.0
"""A node's conntrack entries, over ctnetlink."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from pyroute2 import NFCTSocket

from harness.plumbing.netns import NetNS


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


_COUNT = "/proc/sys/net/netfilter/nf_conntrack_count"  # of the namespace it is read in


class Table:
    """The conntrack table of a namespace.

    A dump walks the machine's whole hash table, each bucket under its lock: 5 ms for the usual
    262,144. None is made where the namespace's own count says that it holds nothing.
    """

    def __init__(self, ns: NetNS) -> None:
        self._ns = ns
        self._socket: NFCTSocket | None = None

    def read(self) -> list[Entry]:
        """Every entry of both families."""
        if self._is_empty():
            return []
        if self._socket is None:
            self._socket = NFCTSocket(nfgen_family=socket.AF_UNSPEC)  # both families
        with self._ns:  # pyroute2 opens the real socket at the first request, where that is made
            return [_entry(message) for message in self._socket.dump()]

    def _is_empty(self) -> bool:
        try:
            return int(self._ns.read(_COUNT)) == 0
        except FileNotFoundError:  # conntrack is not loaded, or has no sysctls: the dump knows
            return False

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
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
