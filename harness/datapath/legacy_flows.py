# SPDX-License-Identifier: Apache-2.0
"""Conntrack entries that the legacy path must forget, as kube-proxy does (pkg/proxy/conntrack)."""

from __future__ import annotations

import socket
from collections.abc import Collection
from contextlib import closing

from pyroute2 import NFCTSocket
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple

from harness.datapath.services import Backend
from harness.plumbing.netns import NetNS
from harness.topology import Family


def forget(ns: NetNS, backends: Collection[tuple[str, Backend]]) -> None:
    """Delete UDP entries to backends that are gone: they would be renewed for ever.

    TCP connections stay until they end.

    Args:
        ns: Namespace of the node.
        backends: Protocol and backend; those of TCP are left alone.
    """
    ends = {(each.address, each.port) for protocol, each in backends if protocol == "udp"}
    for family in Family if ends else ():
        with ns, closing(NFCTSocket(nfgen_family=family.af)) as channel:
            for message in list(channel.dump()):
                replies = NFCTAttrTuple.from_netlink(family.af, message.get_attr("CTA_TUPLE_REPLY"))
                if replies.proto == socket.IPPROTO_UDP and (replies.saddr, replies.sport) in ends:
                    asks = message.get_attr("CTA_TUPLE_ORIG")
                    channel.entry("del", tuple_orig=NFCTAttrTuple.from_netlink(family.af, asks))
