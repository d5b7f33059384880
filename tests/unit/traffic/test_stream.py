# SPDX-License-Identifier: Apache-2.0
"""The TCP stream of the suite, over loopback."""

import importlib
import os
import socket

import pytest

from harness.plumbing.errors import TrafficError
from tests.support.loopback import ends

# As an attribute of its package this is the function.
module = importlib.import_module("harness.traffic.stream")


@pytest.fixture(autouse=True)
def free_ports(monkeypatch):
    """A testbed's ports are its own; the machine's are others' as well."""

    def free():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    monkeypatch.setattr(module, "next_identity", free)


def send(size, **options):
    client_ns, server_ns, family, addresses = ends()
    return module.stream(client_ns, server_ns, family, *addresses, size, **options)


def test_every_byte_arrives_and_is_hashed():
    found = send(3 << 20)
    assert (found.sent, found.received) == (3 << 20, 3 << 20)
    assert found.sent_sha256 == found.received_sha256


def test_it_stays_on_one_cpu_from_the_first_segment_to_the_last(monkeypatch):
    """veth's backlog is per CPU: a thread that is moved lets a segment overtake another."""
    allowed, seen = os.sched_getaffinity(0), []
    transfer = module._transfer

    def watched(*args):
        seen.append(os.sched_getaffinity(0))
        found = transfer(*args)
        seen.append(os.sched_getaffinity(0))
        return found

    monkeypatch.setattr(module, "_transfer", watched)
    send(1 << 16)
    assert [len(cpus) for cpus in seen] == [1, 1]
    assert seen[0] == seen[1]
    assert os.sched_getaffinity(0) == allowed


def test_a_stream_that_does_not_come_to_its_end_says_how_far_it_came():
    with pytest.raises(TrafficError, match=r"stalled: \d+ bytes written, \d+ of 1073741824 read"):
        send(1 << 30, deadline=0.05)
