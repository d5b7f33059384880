# SPDX-License-Identifier: Apache-2.0
"""Traffic tools whose network or process fails in mid-run: one clear error, and nothing left."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from harness.bench import MEASURES, BuiltArm
from harness.datapath import NodeSettings
from harness.errors import TrafficError
from harness.topology import Family
from harness.traffic.inline import InlineFlow
from harness.traffic.iperf import Stream, run_stream
from testbeds.measuring import arm

pytestmark = pytest.mark.control
DEADLINE = 30.0


@pytest.fixture
def built(machine, loaded_programs):
    with BuiltArm(arm("bpf", "one_node", NodeSettings())) as built:
        yield built


class Streaming(threading.Thread):
    """A stream in a thread of its own, so that the test can break what it runs over."""

    def __init__(self, built, spec):
        super().__init__()
        self.ends = (built.client.ns, built.server.ns, Family.ipv4, built.addresses(Family.ipv4))
        self.spec = spec
        self.error = None

    def run(self):
        """Stream, and keep what went wrong."""
        try:
            run_stream(*self.ends, self.spec)
        except TrafficError as error:
            self.error = str(error)

    def ended(self):
        """Wait for the end; what went wrong. No worker is left."""
        self.join(DEADLINE)
        assert not self.is_alive()
        assert workers() == {}
        return self.error


def workers():
    """Role → pid of the worker processes that are ours."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == os.getpid() and b"iperf_worker" in command:
            found["server" if b'"server"' in command else "client"] = int(entry.name)
    return found


def received(built):
    """Bytes that arrived at the server's pod."""
    link = built.server.ns.netlink.link("get", index=built.server.ifindex("eth0"))[0]
    return link.get_attr("IFLA_STATS64")["rx_bytes"]


@pytest.fixture
def begin(built):
    """A function that starts a stream, and returns once it flows."""
    begun = []

    def start(grace):
        thread = Streaming(built, Stream(grace=grace))
        begun.append(thread)
        thread.start()
        deadline = time.monotonic() + DEADLINE
        while received(built) < 1_000_000:
            assert thread.is_alive(), thread.error
            assert time.monotonic() < deadline
        return thread

    yield start
    for thread in begun:
        thread.join(DEADLINE)


def test_bench_stream_over_a_link_that_goes_down(built, begin):
    stream = begin(grace=4.0)
    built.server.down("eth0")
    assert "client in pod1: no end within 5 s" in stream.ended()


@pytest.mark.parametrize(
    ("role", "said"), [("client", "killed by SIGKILL"), ("server", "client in pod1: ")]
)
def test_bench_stream_with_an_end_killed(begin, role, said):
    stream = begin(grace=DEADLINE)
    os.kill(workers()[role], signal.SIGKILL)
    assert said in stream.ended()


def test_bench_stream_over_a_dead_link(built):
    built.server.down("eth0")
    thread = Streaming(built, Stream())
    thread.start()
    assert "unable to connect to server" in thread.ended()


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_bench_round_trip_over_a_link_that_goes_down(built, family, protocol):
    ends = (built.client.ns, built.server.ns, family, built.addresses(family))
    with InlineFlow(*ends, protocol) as flow:
        assert len(flow.burst(5)) == 5
        built.client.down("eth0")
        with pytest.raises(TrafficError, match="pod1 > pod2"):
            flow.burst(5)


@pytest.mark.parametrize("measure", sorted(MEASURES))
def test_bench_a_measure_over_a_dead_link_is_an_error(built, family, measure):
    built.client.down("eth0")
    with (
        pytest.raises(TrafficError, match=r"pod1|iperf3"),
        MEASURES[measure].opened(built, family) as turn,
    ):
        turn()
