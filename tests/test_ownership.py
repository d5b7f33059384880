# SPDX-License-Identifier: Apache-2.0
"""What fails half-way through opening several things closes what it had opened."""

import gc
import socket
import subprocess
from pathlib import Path

import pytest

from harness.process import prepare_tools
from harness.traffic import sockets, workers
from harness.traffic.bulk import BulkFlow
from harness.traffic.connections import Connections
from harness.traffic.fence import Fence
from harness.traffic.inline import InlineFlow
from harness.traffic.process_flow import ProcessFlow
from harness.traffic.sockets import tcp_pair, udp_pair
from tests.loopback import Here, cpus, ends


class BrokenError(Exception):
    """Nothing that anybody expects."""


def broken(*_, **__):
    raise BrokenError


def on_call(number, original):
    """As the original, and broken from that call on."""
    calls = iter(range(1, number))
    return lambda *args, **options: original(*args, **options) if next(calls, 0) else broken()


def breaks(owner, name, number=1):
    """What breaks, and at which call."""
    return owner, name, number


#: What opens several things → where it breaks.
HALF_WAY = {
    "a UDP pair's second socket": (lambda at: udp_pair(*at), breaks(Here, "socket", 2)),
    "a UDP pair's connection": (lambda at: udp_pair(*at), breaks(socket.socket, "connect", 2)),
    "a TCP pair's second socket": (lambda at: tcp_pair(*at), breaks(Here, "socket", 2)),
    "a TCP pair's options": (lambda at: tcp_pair(*at), breaks(sockets, "_prepare_tcp", 2)),
    "a TCP pair's connection": (lambda at: tcp_pair(*at), breaks(socket.socket, "connect")),
    "a TCP pair's last option": (lambda at: tcp_pair(*at), breaks(socket.socket, "setsockopt", 5)),
    "a bulk flow's options": (
        lambda at: BulkFlow(*at, cpus(), 0), breaks(socket.socket, "setsockopt", 6)
    ),
    "a process flow's options": (
        lambda at: ProcessFlow(*at, cpus()), breaks(socket.socket, "setsockopt", 3)
    ),
    "an inline flow's proof": (lambda at: InlineFlow(*at), breaks(InlineFlow, "_prove")),
    "a listener's address": (lambda at: Connections(*at), breaks(socket.socket, "listen")),
    "a fence's address": (lambda at: Fence(at[0]), breaks(socket.socket, "settimeout")),
    "a worker's output": (lambda _: workers.Worker(), breaks(workers.tempfile, "TemporaryFile")),
    "a worker's process": (lambda _: workers.Worker(), breaks(subprocess, "Popen")),
}  # fmt: skip


def descriptors():
    gc.collect()
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.mark.parametrize("name", HALF_WAY)
def test_nothing_stays_open_of(name, monkeypatch):
    opens, (owner, attribute, number) = HALF_WAY[name]
    spaces = ends()
    prepare_tools()  # this thread's PID namespace stays
    before = descriptors()
    with monkeypatch.context() as patch:
        original = getattr(owner, attribute)
        patch.setattr(owner, attribute, on_call(number, original), raising=False)
        with pytest.raises(BrokenError) as caught:
            opens(spaces)
    # As long as the error is known, so is what its frames hold: the collector closes nothing.
    assert descriptors() == before, caught.value
