# SPDX-License-Identifier: Apache-2.0
"""Worker processes: what becomes of them when a job, or they themselves, fail."""

import os
import signal
import socket
import struct
import threading
import time

import pytest

from harness.plumbing.errors import MissingToolError, TrafficError
from harness.traffic.workers import close_workers, raise_if_failed, workers
from tests.support.loopback import cpus, descendants, needs_two_cpus


@pytest.fixture(autouse=True)
def _none_left():
    yield
    close_workers()
    assert not descendants()


def silent_pair(seconds=0.2):
    """Two connected sockets on which nothing ever comes."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    deadline = struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, deadline)
    return ours, theirs


def test_a_worker_is_kept_for_the_next_turn():
    with workers("client") as (worker,):
        first = worker.pid
    with workers("client") as (worker,):
        assert worker.pid == first
    assert list(descendants()) == [first]


def test_workers_of_different_names_are_different_processes():
    with workers("client", "server") as (client, server):
        assert client.pid != server.pid


def test_an_idle_worker_sleeps():
    ours, theirs = silent_pair()
    with ours, theirs, workers("client") as (worker,):
        worker.begin("pour", "client", [ours], size=1)
        worker.result()
        before = ticks(worker.pid)
        time.sleep(0.3)
        assert ticks(worker.pid) - before <= 1


def ticks(pid):
    """Its user and system time, in ticks of 10 ms."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_job_that_fails_says_why_and_the_worker_lives_on():
    ours, theirs = silent_pair()
    with ours, theirs, workers("client") as (worker,):
        worker.begin("ask", "client in pod1", [ours], trips=3, size=1)
        with pytest.raises(TrafficError, match="client in pod1: request 1 of 3 had no reply"):
            worker.result()
        pid = worker.pid
    with workers("client") as (worker,):
        assert worker.pid == pid


def test_a_job_that_does_not_end_is_killed():
    ours, theirs = silent_pair(seconds=60)
    with ours, theirs, workers("client") as (worker,):
        worker.begin("answer", "server in pod2", [ours], trips=1, size=1)
        with pytest.raises(TrafficError, match=r"server in pod2: no end within 0\.1 s"):
            worker.result(0.1)
        assert not worker.alive


def test_a_worker_still_at_work_when_its_turn_is_over_is_killed():
    ours, theirs = silent_pair(seconds=60)
    with ours, theirs:
        with workers("client") as (worker,):
            worker.begin("answer", "server", [ours], trips=1, size=1)
        assert not worker.alive
        with workers("client") as (another,):
            assert another.pid != worker.pid


def test_a_worker_that_is_killed_at_work_is_told():
    ours, theirs = silent_pair(seconds=60)
    with ours, theirs, workers("client") as (worker,):
        worker.begin("answer", "server in pod2", [ours], trips=1, size=1)
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(TrafficError, match="server in pod2: killed by SIGKILL"):
            worker.result()
    with workers("client") as (another,):
        assert another.alive


def test_a_worker_that_is_killed_idle_is_told():
    with workers("client") as (worker,):
        os.kill(worker.pid, signal.SIGKILL)
        os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(TrafficError, match="server in pod2: killed by SIGKILL"):
            worker.begin("answer", "server in pod2", trips=1, size=1)


def test_a_job_nobody_knows_shows_the_last_line():
    with workers("client") as (worker,):
        worker.begin("dance", "client")
        with pytest.raises(TrafficError, match=r"ended without a result \(KeyError: 'dance'\)"):
            worker.result()


@pytest.mark.parametrize("cpu", [4000, -1])
def test_a_cpu_that_is_not_there_is_an_error(cpu):
    with workers("client") as (worker,):
        worker.begin("pour", "sender in pod1", cpus=[cpu], size=0)
        with pytest.raises(TrafficError, match=rf"sender in pod1: cannot pin to CPU \[{cpu}\]"):
            worker.result()


@needs_two_cpus
def test_a_job_that_is_not_pinned_does_not_stay_where_the_last_one_was():
    ours, theirs = silent_pair(seconds=60)
    with ours, theirs, workers("client") as (worker,):
        for pinned in (list(cpus()[:1]), []):
            theirs.send(b"?")
            worker.begin("answer", "server", [ours], cpus=pinned, trips=1, size=1)
            worker.result()
        assert os.sched_getaffinity(worker.pid) >= os.sched_getaffinity(0)


@needs_two_cpus
def test_a_cpu_that_is_taken_away_in_mid_job_is_an_error():
    """As the kernel does to threads of a CPU that goes offline: their mask is widened."""
    ours, theirs = silent_pair(seconds=60)
    cpu = cpus()[0]
    with ours, theirs, workers("client") as (worker,):
        worker.begin("answer", "server in pod2", [ours], cpus=[cpu], trips=1, size=1)
        deadline = time.monotonic() + 10
        while os.sched_getaffinity(worker.pid) != {cpu}:
            assert time.monotonic() < deadline
        os.sched_setaffinity(worker.pid, os.sched_getaffinity(0))
        theirs.send(b"?")
        with pytest.raises(TrafficError, match=rf"CPU \[{cpu}\] was taken away"):
            worker.result()


def test_ctrl_c_is_not_for_workers():
    ours, theirs = silent_pair(seconds=60)
    with ours, theirs, workers("client") as (worker,):
        worker.begin("answer", "server", [ours], trips=2, size=1)
        for _ in range(2):
            theirs.send(b"?")
            assert theirs.recv(1) == b"?"
            os.kill(worker.pid, signal.SIGINT)
        assert worker.result() == {}


def test_a_thread_has_workers_of_its_own():
    """A worker dies with the thread that started it."""
    pids = []

    def use():
        with workers("client") as (worker,):
            pids.append(worker.pid)
        close_workers()

    with workers("client") as (worker,):
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        assert pids != [worker.pid]
        assert worker.alive
        assert pids[0] not in descendants()


def test_what_is_missing_says_what_to_install():
    with pytest.raises(MissingToolError, match=r"client: libiperf is not.*apt-get install"):
        raise_if_failed({"missing": "libiperf"}, "client")
    with pytest.raises(TrafficError, match="client: no route"):
        raise_if_failed({"error": "no route"}, "client")
    raise_if_failed({"result": {}}, "client")
