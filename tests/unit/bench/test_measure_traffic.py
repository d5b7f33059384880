# SPDX-License-Identifier: Apache-2.0
"""The traffic that measures are made of, over loopback: what it counts, and what it refuses."""

import errno
import itertools
import os
import socket
import struct
import time
from types import SimpleNamespace

import pytest

from harness.bench.measures.connection_rate import ConnectionRate
from harness.plumbing.errors import TrafficError
from harness.topology import Family
from harness.traffic import bulk, sockets
from harness.traffic.bulk import BulkFlow, loaded
from harness.traffic.checks import checked
from harness.traffic.connections import Connections
from harness.traffic.packets import BATCH, PacketFlow
from harness.traffic.process_flow import ProcessFlow
from harness.traffic.sockets import let_block, tcp_pair, udp_pair
from harness.traffic.worker_jobs.cpu_time import CpuClock, CpuTime
from harness.traffic.worker_jobs.errors import JobError
from harness.traffic.workers import Worker, _pool, close_workers
from tests.support.loopback import Here, cpus, descendants, ends

WINDOW = 1 << 18


@pytest.fixture(autouse=True)
def _none_left():
    yield
    close_workers()
    assert not descendants()


def cpu_time_refused():
    """Why this process may not count its CPU time; nothing if it may."""
    try:
        CpuClock().close()
    except JobError as error:
        return str(error)
    return ""


counts_cpu_time = pytest.mark.skipif(
    bool(cpu_time_refused()), reason=f"perf_event_paranoid: {cpu_time_refused()}"
)


@pytest.fixture
def impatient(monkeypatch):
    """Calls that wait give up after a tenth of a second."""
    monkeypatch.setattr(sockets, "DEADLINE", struct.pack("@ll", 0, 100_000))


def test_a_burst_across_processes_times_every_round_trip():
    with ProcessFlow(*ends(), cpus()) as flow:
        burst = flow.burst(300)
    assert len(burst.durations) == 300
    assert min(burst.durations) > 0
    assert burst.cpu == 0


@counts_cpu_time
def test_a_burst_s_cpu_time_is_that_of_both_processes():
    with ProcessFlow(*ends(), cpus()) as flow:
        burst = flow.burst(2000, cpu_time=True)
    assert 0 < burst.cpu < 2.2 * sum(burst.durations)
    assert 0 <= burst.user <= burst.cpu


def test_a_reply_that_never_comes_is_an_error(impatient):
    with ProcessFlow(*ends(), cpus()) as flow:
        deaf = Here().socket(socket.AF_INET, socket.SOCK_DGRAM)
        deaf.bind(("127.0.0.1", 0))
        flow.ends[0].connect(deaf.getsockname())
        with deaf, pytest.raises(TrafficError, match="pod1: request 1 of 5 had no reply"):
            flow.burst(5)


def test_nobody_there_is_an_error(impatient):
    with ProcessFlow(*ends(), cpus()) as flow:
        flow.ends[0].connect(("127.0.0.1", 9))
        with pytest.raises(TrafficError, match="pod1: request 1 of 5: Connection refused"):
            flow.burst(5)


@counts_cpu_time
def test_bytes_are_moved_and_their_cpu_time_counted():
    with BulkFlow(*ends(), cpus(), WINDOW) as flow:
        few, many = flow.move(1 << 22), flow.move(1 << 28)
    assert (few.size, many.size) == (1 << 22, 1 << 28)
    assert many.cpu > 5 * few.cpu
    assert many.cpu < 2.2e9 * many.seconds + 1e8
    assert many.seconds > few.seconds > 0


@counts_cpu_time
def test_a_receiver_that_hangs_up_is_an_error(impatient):
    with BulkFlow(*ends(), cpus(), WINDOW) as flow:
        flow.ends[1].shutdown(socket.SHUT_RDWR)
        with pytest.raises(TrafficError, match=r"(sender in pod1|receiver in pod2): the \w+ went"):
            flow.move(1 << 24)


@counts_cpu_time
def test_a_stream_that_stalls_is_an_error(impatient, monkeypatch):
    monkeypatch.setattr(Worker, "begin", only("pour", Worker.begin))
    with (
        BulkFlow(*ends(), cpus(), WINDOW) as flow,
        pytest.raises(TrafficError, match=r"sender in pod1: stalled after \d+ of 16777216"),
    ):
        flow.move(1 << 24)


def only(job, begin):
    """Workers that begin this job and no other."""

    def begin_some(worker, name, *arguments, **options):
        return begin(worker, name, *arguments, **options) if name == job else None

    return begin_some


def test_a_load_flows_at_its_rate_while_it_is_needed():
    rate = 200_000_000
    with loaded(*ends(), cpus(), rate) as load:
        assert load.bits_per_second == 0
        time.sleep(0.3)
    assert load.bits_per_second == pytest.approx(rate, rel=0.5)


def test_a_load_that_does_not_flow_is_an_error(monkeypatch):
    monkeypatch.setattr(bulk, "_FLOWING_SECONDS", 0.2)
    monkeypatch.setattr(Worker, "begin", only("drain", Worker.begin))
    with pytest.raises(TrafficError, match=r"load from pod1: \d+ bytes in 0\.2 s"):
        loaded(*ends(), cpus(), 10**9).__enter__()


def test_a_load_ends_when_what_it_was_for_fails():
    with pytest.raises(ZeroDivisionError), loaded(*ends(), cpus(), 10**9):
        raise ZeroDivisionError


def test_a_load_whose_sender_is_killed_is_told():
    def load():
        with loaded(*ends(), cpus(), 10**9):
            os.kill(_pool.workers["load client"].pid, 9)

    with pytest.raises(TrafficError, match="load from pod1: killed by SIGKILL"):
        load()


def test_a_volley_counts_what_arrived():
    with PacketFlow(*ends(), size=18) as flow:
        volley = flow.volley(50)
    assert (volley.sent, volley.received) == (50 * BATCH, 50 * BATCH)
    assert volley.lost_percent == 0
    assert len(volley.rates) == 50
    assert min(volley.rates) > 0


def test_what_finds_no_room_is_lost_and_told():
    with PacketFlow(*ends(), size=1000) as flow:
        flow.ends[1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        volley = flow.volley(10)
    assert 0 < volley.received < volley.sent == 10 * BATCH
    assert volley.lost_percent == pytest.approx(100 * (1 - volley.received / volley.sent))


def test_packets_that_all_vanish_are_an_error():
    with PacketFlow(*ends(), size=18) as flow, socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        flow.ends[0].connect(other.getsockname())
        with pytest.raises(TrafficError, match=f"none of {BATCH} packets arrived"):
            flow.volley(1)


def test_a_sender_that_may_not_send_is_an_error():
    with PacketFlow(*ends(), size=18) as flow:
        flow.ends[0].shutdown(socket.SHUT_WR)
        with pytest.raises(TrafficError, match=r"cannot send \(Broken pipe\)"):
            flow.volley(1)


def test_a_receiver_that_is_gone_refuses_packets():
    with PacketFlow(*ends(), size=18) as flow:
        flow.volley(1)
        flow.ends[1].close()
        with pytest.raises(TrafficError, match=r"cannot send \(1 of 64 taken\): is the receiver"):
            flow.volley(1)


def test_connections_are_opened_used_and_closed():
    with Connections(*ends()) as connections:
        durations = connections.burst(50)
        assert len(durations) == 50
        assert min(durations) > 0
        with pytest.raises(BlockingIOError):  # every one was accepted
            connections._listener.accept()


def test_a_listener_that_is_gone_is_an_error():
    with Connections(*ends()) as connections:
        connections._listener.shutdown(socket.SHUT_RDWR)
        with pytest.raises(TrafficError, match=r"pod1 > pod2 ipv4: number 1 of 3 failed.*refused"):
            connections.burst(3)


def test_no_port_left_says_so(monkeypatch):
    def full(sock, address):
        raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")

    monkeypatch.setattr(socket.socket, "connect", full, raising=False)
    with Connections(*ends()) as connections, pytest.raises(TrafficError, match="used up"):
        connections.burst(1)


@pytest.mark.parametrize("step", [0, -7])
def test_a_clock_that_does_not_go_on_is_an_error(monkeypatch, step):
    ticks = itertools.count(10**9, step)
    with PacketFlow(*ends(), size=18) as flow, Connections(*ends()) as connections:
        monkeypatch.setattr(time, "perf_counter_ns", lambda: next(ticks))
        for turn in (flow.volley, connections.burst):
            with pytest.raises(TrafficError, match=rf"a duration of {step} ns"):
                turn(3)


def test_no_duration_is_no_sample():
    with pytest.raises(TrafficError, match="flow: no sample"):
        checked([], "flow")
    assert checked([3, 1], "flow") == [3, 1]


def test_an_address_that_cannot_be_had_is_an_error():
    client, server, family, _ = ends()
    for pair in (udp_pair, tcp_pair):
        with pytest.raises(TrafficError, match=r"pod1 > pod2 (UDP|TCP): cannot connect"):
            pair(client, server, family, ("192.0.2.1", "127.0.0.1"))


def test_a_deadline_holds_in_every_process_that_has_the_socket(impatient):
    with ProcessFlow(*ends(), cpus()) as flow:
        let_block(flow.ends[0])
        started = time.monotonic()
        with pytest.raises(BlockingIOError):
            flow.ends[0].recv(1)
        assert time.monotonic() - started < 5


@counts_cpu_time
def test_cpu_time_is_what_was_spent_on_a_cpu():
    clock = CpuClock()
    try:
        before, process = clock.read(), time.process_time_ns()
        time.sleep(0.05)
        slept = clock.read() - before
        while time.process_time_ns() - process < 2e8:
            pass
        spent = clock.read() - before
    finally:
        clock.close()
    assert slept.total < 2e7
    assert spent.total == pytest.approx(2e8, rel=0.1)
    assert spent.to_json() == {"total": spent.total, "user": spent.user, "system": spent.system}


def test_a_kernel_that_counts_nothing_is_an_error(monkeypatch):
    monkeypatch.setattr("harness.traffic.worker_jobs.cpu_time._NR_PERF_EVENT_OPEN", {})
    with pytest.raises(JobError, match="the kernel counts no CPU time for us"):
        CpuClock()


def test_a_sampled_part_is_no_more_than_the_whole():
    before, after = CpuTime(100, 10, 5), CpuTime(150, 90, 6)
    assert after - before == CpuTime(50, 50, 1)


def test_a_connection_of_seconds_is_a_rate_too(monkeypatch):
    class Slow:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def burst(self, _count):
            return [3_100_000_000]

    built = SimpleNamespace(ends=lambda _: (), network=SimpleNamespace(nodes=[]))
    monkeypatch.setattr("harness.bench.measures.connection_rate.Connections", Slow)
    with ConnectionRate().opened(built, Family.ipv4) as turn:
        assert turn() == [pytest.approx(1 / 3.1, abs=0.001)]
