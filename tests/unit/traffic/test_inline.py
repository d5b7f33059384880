# SPDX-License-Identifier: Apache-2.0
"""Inline round trips over loopback, which needs no root: what is timed, and what is refused."""

import gc
import itertools
import os
import time

import pytest

from harness.plumbing.errors import TrafficError, UnknownNameError
from harness.traffic.cpus import held, one_cpu, two_cpus
from harness.traffic.fence import pinned
from harness.traffic.inline import MAX_SIZE, InlineFlow
from tests.support.loopback import ends, needs_two_cpus


def flow(protocol="udp", size=64):
    return InlineFlow(*ends(), protocol, size)


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


def test_cpus_that_are_all_gone_do_not_hide_what_went_wrong(monkeypatch):
    before = os.sched_getaffinity(0)

    def refuse(*_):
        raise OSError(22, "Invalid argument")

    def lose_them():
        monkeypatch.setattr(os, "sched_setaffinity", refuse)
        raise TrafficError("was taken away")

    try:
        with pytest.raises(TrafficError, match="was taken away"), pinned():
            lose_them()
    finally:
        monkeypatch.undo()
        os.sched_setaffinity(0, before)


def test_pinned_throughout_is_no_error():
    with held(one_cpu()):
        assert os.sched_getaffinity(0) == {one_cpu()}


@needs_two_cpus
def test_a_cpu_that_is_taken_away_meanwhile_is_an_error():
    """As the kernel does to threads of a CPU that goes offline: their mask is widened."""
    before = os.sched_getaffinity(0)
    with pytest.raises(TrafficError, match="was taken away in mid-measurement"), held(one_cpu()):
        os.sched_setaffinity(0, before)
    assert os.sched_getaffinity(0) == before


def test_one_cpu_alone_cannot_stand_for_two(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    with pytest.raises(TrafficError, match=r"needs two CPUs, and only \[3\] is allowed"):
        two_cpus()
    assert one_cpu() == 3


@pytest.mark.parametrize("step", [0, -5])
def test_a_clock_that_does_not_go_on_is_an_error(monkeypatch, step):
    ticks = itertools.count(10**9, step)
    with flow() as pair:
        monkeypatch.setattr(time, "perf_counter_ns", lambda: next(ticks))
        with pytest.raises(TrafficError, match=f"a duration of {step} ns: the machine's clock"):
            pair.burst(5)


def test_no_trip_is_no_sample():
    with flow() as pair, pytest.raises(TrafficError, match="no sample"):
        pair.burst(0)
