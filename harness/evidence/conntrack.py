# SPDX-License-Identifier: Apache-2.0
"""A node's conntrack entries, over ctnetlink. Floor 5."""

from __future__ import annotations

from dataclasses import dataclass

from pyroute2 import NFCTSocket

from harness.netns import NetNS
from harness.topology import Family


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


def read(ns: NetNS) -> list[Entry]:
    """Every entry of both families."""
    return [entry for family in Family for entry in _read(ns, family)]


def _read(ns: NetNS, family: Family) -> list[Entry]:
    version = "V4" if family is Family.ipv4 else "V6"
    entries = []
    with ns, NFCTSocket(nfgen_family=family.af) as sock:
        for message in sock.dump():
            original = message.get_attr("CTA_TUPLE_ORIG")
            addresses = original.get_attr("CTA_TUPLE_IP")
            protocol = original.get_attr("CTA_TUPLE_PROTO").get_attr("CTA_PROTO_NUM")
            entries.append(
                Entry(
                    protocol,
                    addresses.get_attr(f"CTA_IP_{version}_SRC"),
                    addresses.get_attr(f"CTA_IP_{version}_DST"),
                )
            )
    return entries
