# SPDX-License-Identifier: Apache-2.0
"""Inline round trips over loopback, which needs no root: what is timed, and what is refused."""

import gc
import os
import socket

import pytest

from harness.errors import TrafficError, UnknownNameError
from harness.topology import Family
from harness.traffic.fence import pinned
from harness.traffic.inline import MAX_SIZE, InlineFlow


class Here:
    """The caller's own namespace."""

    def __init__(self, name):
        self.name = name

    def socket(self, family, kind, proto=0):
        return socket.socket(family, kind, proto)


def flow(protocol="udp", size=64):
    ends = (Here("pod1"), Here("pod2"), Family.ipv4, ("127.0.0.1", "127.0.0.1"))
    return InlineFlow(*ends, protocol, size)


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
@pytest.mark.parametrize("size", [1, 64, MAX_SIZE])
def test_a_burst_times_every_round_trip(protocol, size):
    with flow(protocol, size) as pair:
        assert pair.name == f"pod1 > pod2 ipv4 {protocol.upper()} {size} B"
        durations = pair.burst(500)
    assert len(durations) == 500
    assert all(isinstance(duration, int) and duration > 0 for duration in durations)


def test_the_collector_is_as_it_was():
    with flow() as pair:
        pair.burst(1)
        assert gc.isenabled()
        gc.disable()
        try:
            pair.burst(1)
            assert not gc.isenabled()
        finally:
            gc.enable()


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_a_lost_packet_is_an_error_and_no_hang(protocol, monkeypatch):
    with flow(protocol) as pair:
        pair._client = Mute(pair._client)
        with pytest.raises(TrafficError, match=r"pod1 > pod2 ipv4 .* a packet was lost"):
            pair.burst(5)


class Mute:
    """A socket whose sends go nowhere."""

    def __init__(self, real):
        self._real = real

    def send(self, payload):
        return len(payload)

    def __getattr__(self, name):
        return getattr(self._real, name)


def test_a_late_packet_is_told_from_a_lost_one():
    with flow() as pair:
        pair._server = Late(pair._server)
        with pytest.raises(TrafficError, match="came late"):
            pair.burst(1)


class Late(Mute):
    """A socket that has nothing to read the first time it is asked."""

    def recv_into(self, _):
        raise BlockingIOError


def test_nobody_there_is_an_error():
    with flow() as pair:
        pair._server.close()
        with pytest.raises(TrafficError, match=r"refused|Bad file"):
            pair.burst(2)


@pytest.mark.parametrize("size", [0, -1, MAX_SIZE + 1])
def test_sizes_beyond_one_segment_are_refused(size):
    with pytest.raises(UnknownNameError, match="not between 1 and"):
        flow(size=size)


def test_unknown_protocols_are_refused():
    with pytest.raises(UnknownNameError, match="use udp or tcp"):
        flow("sctp")


def test_pinning_is_undone():
    before = os.sched_getaffinity(0)
    cpu = max(before)
    inside = []

    def fail():
        inside.append(os.sched_getaffinity(0))
        raise RuntimeError

    with pytest.raises(RuntimeError), pinned(cpu):
        fail()
    assert inside == [{cpu}]
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize("cpu", [4000, -1])
def test_a_cpu_that_is_not_there_is_an_error(cpu):
    before = os.sched_getaffinity(0)
    with pytest.raises(TrafficError, match=f"cannot pin to CPU {cpu}"), pinned(cpu):
        pass
    assert os.sched_getaffinity(0) == before
