# SPDX-License-Identifier: Apache-2.0
"""UDP datagrams there and back, both ends in one thread, complete when they return."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import ExitStack

from harness.plumbing.netns import NetNS
from harness.topology import Family
from harness.traffic.exchange import Exchange, pattern, set_options
from harness.traffic.fence import Fence, pinned
from harness.traffic.flow import NUMBER, Flow, next_identity
from harness.traffic.form import NO_FORMS, AnyForm, Front


def datagrams(
    client_ns: NetNS,
    server_ns: NetNS,
    family: Family,
    client: str,
    server: str,
    count: int = 1,
    size: int = 64,
    ttl: int = 64,
    df: bool = False,
    fenced: bool = True,
    front: Front | None = None,
    forms: Mapping[str, AnyForm] = NO_FORMS,
) -> Exchange:
    """Send UDP datagrams and send each back; the server answers from the same thread.

    Args:
        client_ns: Namespace of the client.
        server_ns: Namespace of the server.
        family: Address family.
        client: The client's address.
        server: The server's address.
        count: How many datagrams.
        size: Payload bytes, at least 4.
        ttl: TTL or hop limit.
        df: Forbid fragmentation.
        fenced: False: if every reply is there, do not wait for second copies.
        front: Whom the client asks instead, where something translates; None: the server.
        forms: How the packets look where something translates them; see `Form`.
    """
    front = front or Front.direct(server, next_identity())
    listening, asked = (server, front.backend_port), (front.address, front.port)
    flow = Flow(
        family, socket.IPPROTO_UDP, client, front.address, next_identity(), front.port, forms=forms
    )
    exchange = Exchange(flow)
    with ExitStack() as stack:
        ask = stack.enter_context(client_ns.socket(family.af, socket.SOCK_DGRAM))
        answer = stack.enter_context(server_ns.socket(family.af, socket.SOCK_DGRAM))
        fence = stack.enter_context(Fence(client_ns))
        for sock, address, port in (
            (ask, client, flow.client_port),
            (answer, *listening),
        ):
            set_options(sock, family, ttl, df)
            sock.bind((address, port))
        body = pattern(size - NUMBER.size)
        stack.enter_context(pinned())
        for number in range(1, count + 1):
            flow.sent.append(number)
            with exchange.sending():
                ask.sendto(NUMBER.pack(number) + body, asked)
            _answer(exchange, ask, answer, body)
        if fenced or len(exchange.replies) != count:
            fence.pass_()
            _answer(exchange, ask, answer, body)
            fence.pass_()
            _answer(exchange, ask, answer, body)
    return exchange


def _answer(exchange: Exchange, ask: socket.socket, answer: socket.socket, body: bytes) -> None:
    """Send back whatever reached the server whole; read whatever reached the client."""

    def note(payload: bytes, whole: list[int]) -> bool:
        undamaged = payload[NUMBER.size :] == body
        (number,) = NUMBER.unpack(payload[: NUMBER.size].ljust(NUMBER.size, b"\0"))
        (whole if undamaged else exchange.damaged).append(number)
        return undamaged

    while True:
        try:
            payload, sender = answer.recvfrom(65535)
        except BlockingIOError:
            break
        if note(payload, exchange.arrived):
            answer.sendto(payload, sender)
    while True:
        try:
            payload = ask.recv(65535)
        except BlockingIOError:
            return
        except ConnectionRefusedError:
            continue
        note(payload, exchange.replies)
