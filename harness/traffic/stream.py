# SPDX-License-Identifier: Apache-2.0
"""A TCP stream whose content is proven by its hash. Floor 4."""

from __future__ import annotations

import hashlib
import random
import selectors
import socket
import time
from dataclasses import dataclass

from harness.errors import TrafficError
from harness.netns import NetNS
from harness.signals import interruptible
from harness.topology import Family
from harness.traffic.exchange import closing_fence
from harness.traffic.fence import pinned
from harness.traffic.flow import Flow, next_identity

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
) -> Transfer:
    """Send `size` bytes over one TCP connection, both ends in this thread, on one CPU.

    veth delivers through a backlog for each CPU: a thread that is moved to another between two
    segments lets the second overtake the first, on any datapath.

    Raises:
        TrafficError: The connection did not come about, or stalled past `deadline` seconds.
    """
    flow = Flow(family, socket.IPPROTO_TCP, client, server, next_identity(), next_identity())
    end = time.monotonic() + deadline
    content = random.Random(flow.client_port).randbytes(_CHUNK)
    with (
        pinned(),
        server_ns.socket(family.af, socket.SOCK_STREAM) as listener,
        client_ns.socket(family.af, socket.SOCK_STREAM) as writer,
    ):
        listener.bind((server, flow.server_port))
        listener.listen(1)
        listener.settimeout(deadline)
        writer.bind((client, flow.client_port))
        writer.settimeout(deadline)
        try:
            writer.connect((server, flow.server_port))
            reader, _ = listener.accept()
        except OSError as error:
            raise TrafficError(f"no TCP connection from {client} to {server}: {error}") from None
        with reader, closing_fence(client_ns) as fence:
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
