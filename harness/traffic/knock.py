# SPDX-License-Identifier: Apache-2.0
"""Ask for a TCP connection with one SYN, and see what comes back."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from harness.plumbing.netns import NetNS
from harness.topology import Family
from harness.traffic.fence import Fence, pinned
from harness.traffic.flow import Flow, next_identity
from harness.traffic.form import NO_FORMS, AnyForm, Front


@dataclass(frozen=True)
class Knock:
    """What came of it.

    Attributes:
        flow: Its addresses and ports.
        answer: The name of the error, such as `ECONNREFUSED`; `connected`; empty: nothing came.
    """

    flow: Flow
    answer: str


def knock(
    ns: NetNS, family: Family, client: str, front: Front, forms: Mapping[str, AnyForm] = NO_FORMS
) -> Knock:
    """Send a SYN and return when what it caused has come to its end; no SYN is sent again.

    Args:
        ns: Namespace of the client.
        family: Address family.
        client: The client's address.
        front: Whom it asks.
        forms: How the packets look where something translates them; see `Form`.
    """
    flow = Flow(family, socket.IPPROTO_TCP, client, front.address, next_identity(), front.port,
                forms=forms)  # fmt: skip
    with ns.socket(family.af, socket.SOCK_STREAM) as sock, Fence(ns) as fence, pinned():
        sock.bind((client, flow.client_port))
        sock.setblocking(False)
        code = sock.connect_ex((front.address, front.port))
        fence.pass_()
        if code == errno.EINPROGRESS:
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return Knock(flow, errno.errorcode[code] if code else _state(sock))


def _state(sock: socket.socket) -> str:
    try:
        sock.getpeername()
    except OSError:  # still asking
        return ""
    return "connected"
