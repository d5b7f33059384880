# SPDX-License-Identifier: Apache-2.0
"""A TCP stream whose content is proven by its hash."""

from __future__ import annotations

import hashlib
import random
import selectors
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

from harness.plumbing.errors import TrafficError
from harness.plumbing.netns import NetNS
from harness.plumbing.signals import interruptible
from harness.topology import Family
from harness.traffic.fence import Fence, pinned
from harness.traffic.flow import Flow, next_identity
from harness.traffic.form import NO_FORMS, AnyForm, Front

_CHUNK = 1 << 18


@dataclass(frozen=True)
class Transfer:
    """A finished transfer.

    Attributes:
        flow: Its addresses and ports.
        sent: Bytes the client wrote.
        received: Bytes the server read.
        sent_sha256: Digest of what was written.
        received_sha256: Digest of what was read.
    """

    flow: Flow
    sent: int
    received: int
    sent_sha256: str
    received_sha256: str


def stream(
    client_ns: NetNS,
    server_ns: NetNS,
    family: Family,
    client: str,
    server: str,
    size: int,
    deadline: float = 20.0,
    front: Front | None = None,
    forms: Mapping[str, AnyForm] = NO_FORMS,
) -> Transfer:
    """Send `size` bytes over one TCP connection, both ends in this thread, on one CPU.

    veth delivers through a backlog for each CPU: a thread that is moved to another between two
    segments lets the second overtake the first, on any datapath.

    Args:
        client_ns: Namespace of the client.
        server_ns: Namespace of the server.
        family: Address family.
        client: The client's address.
        server: The server's address.
        size: Bytes to send.
        deadline: Seconds.
        front: Whom the client asks instead, where something translates; None: the server.
        forms: How the packets look where something translates them; see `Form`.

    Raises:
        TrafficError: The connection did not come about, or stalled past `deadline` seconds.
    """
    front = front or Front.direct(server, next_identity())
    listening, asked = (server, front.backend_port), (front.address, front.port)
    flow = Flow(
        family, socket.IPPROTO_TCP, client, front.address, next_identity(), front.port, forms=forms
    )
    end = time.monotonic() + deadline
    content = random.Random(flow.client_port).randbytes(_CHUNK)
    with (
        pinned(),
        server_ns.socket(family.af, socket.SOCK_STREAM) as listener,
        client_ns.socket(family.af, socket.SOCK_STREAM) as writer,
    ):
        listener.bind(listening)
        listener.listen(1)
        listener.settimeout(deadline)
        writer.bind((client, flow.client_port))
        writer.settimeout(deadline)
        try:
            writer.connect(asked)
            reader, _ = listener.accept()
        except OSError as error:
            raise TrafficError(f"no TCP connection from {client} to {asked[0]}: {error}") from None
        with reader, Fence(client_ns) as fence:
            found = _transfer(flow, writer, reader, content, size, end)
            for each in (writer, reader):
                each.close()
            fence.pass_()  # the last acknowledgements have come to their end
            return found


def _transfer(
    flow: Flow, writer: socket.socket, reader: socket.socket, content: bytes, size: int, end: float
) -> Transfer:
    sent = received = 0
    wrote, read = hashlib.sha256(), hashlib.sha256()
    writer.setblocking(False)
    reader.setblocking(False)
    with selectors.DefaultSelector() as selector:
        selector.register(writer, selectors.EVENT_WRITE)
        selector.register(reader, selectors.EVENT_READ)
        while received < size:
            left = end - time.monotonic()
            if left <= 0:
                raise TrafficError(
                    f"TCP from {flow.client} to {flow.server} stalled: "
                    f"{sent} bytes written, {received} of {size} read"
                )
            with interruptible():
                ready = selector.select(left)
            for key, _ in ready:
                if key.fileobj is reader:
                    chunk = reader.recv(_CHUNK)
                    if not chunk:
                        size = received
                    read.update(chunk)
                    received += len(chunk)
                elif sent < size:
                    offset = sent % _CHUNK
                    part = content[offset : offset + min(_CHUNK - offset, size - sent)]
                    done = writer.send(part)
                    wrote.update(part[:done])
                    sent += done
                else:
                    selector.unregister(writer)
    return Transfer(flow, sent, received, wrote.hexdigest(), read.hexdigest())
