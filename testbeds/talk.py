# SPDX-License-Identifier: Apache-2.0
"""Everybody asks everybody, by each protocol; and what of it a node's stack has to forward."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.testbed import Actor, NodeActor, Seen
from harness.traffic.form import NO_FORMS, AnyForm
from harness.watch.legs import look

#: A stream is made of segments; a few are enough to see which way they go.
STREAM = 5000
#: Seconds. Who is not connected by then never is.
PATIENCE = 3.0


def turned(rows: str) -> str:
    """The legs of a flow whose server asks its client."""
    words = {"request": "reply", "reply": "request"}
    return re.sub("|".join(words), lambda found: words[found[0]], rows)


def ask(client: Actor, server: Actor, forms: Mapping[str, AnyForm] = NO_FORMS) -> int:
    """Ping a host and send it a datagram.

    Returns:
        How many answers are missing.
    """
    exchanges = (
        client.ping(server, forms=forms),
        client.datagrams(server, forms=forms),
    )
    return sum(exchange.lost for exchange in exchanges)


def connect(client: Actor, server: Actor, forms: Mapping[str, AnyForm] = NO_FORMS) -> bool:
    """Send a host a stream; whether it arrived as it was sent."""
    transfer = client.stream(server, STREAM, deadline=PATIENCE, forms=forms)
    return transfer.sent_sha256 == transfer.received_sha256


def forwarded(seen: Seen, node: NodeActor, *, bypassed: bool) -> int:
    """What a node's netfilter counts as forwarded, of the flows that a capture saw.

    Where the stack is not bypassed it is every frame that enters the node and is not for it. The
    other hooks count what the node says to itself, too, as it does when it waits for its packets.
    """
    if bypassed:
        return 0
    count = 0
    for frame in seen.frames:
        host, _, _ = frame.interface.partition(":")
        if (host, frame.direction) == (node.name, "in") and (found := look(frame, seen.flows)[1]):
            flow = seen.flows[found[0]]
            count += node.address not in (flow.client, flow.server)
    return count
