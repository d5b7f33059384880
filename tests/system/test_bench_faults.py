# SPDX-License-Identifier: Apache-2.0
"""Measures whose network, process or programs fail: one clear error, and nothing left."""

import os
import re
import signal
import socket
import struct
import threading
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest

from harness.attach import detach_all
from harness.bench import MEASURES, limit
from harness.bpf.run_time import program_run_time
from harness.bpf.source import Patch
from harness.datapath import DATAPATHS, HostRouting, NodeSettings
from harness.plumbing.errors import InapplicableError, TrafficError
from harness.topology import Family
from harness.traffic import iperf, sockets
from harness.traffic.cpus import two_cpus
from harness.traffic.inline import InlineFlow
from harness.traffic.iperf import Iperf, Stream
from harness.traffic.process_flow import ProcessFlow
from harness.traffic.workers import PROGRAM, close_workers
from testbeds.measuring import arm

pytestmark = pytest.mark.control
DEADLINE = 30.0
#: Those that send something, and those that are about programs alone.
SENDING = sorted(set(MEASURES) - {"program-cost"})
PROGRAMS = ["program-cost", "program-run-time"]
SILENCE = (
    r"pod[12]: (request 1 of|stalled after|the sender went)|unable to connect to server"
    r"|a packet was lost|none of 64 packets|failed \(\[Errno 11|stood still|0 bytes in"
    r"|cannot connect|had no reply|number 1 of"
)


@pytest.fixture
def built(hr_machine, hr_programs):
    with arm("bpf", "one_node", NodeSettings()).build() as built:
        yield built


@pytest.fixture
def apart(hr_machine, hr_programs):
    with arm("bpf", "two_node", NodeSettings()).build() as built:
        yield built


@pytest.fixture(autouse=True)
def _no_process_left():
    yield
    close_workers()
    deadline = time.monotonic() + DEADLINE
    while left := workers():  # what a killed worker had started dies a moment later
        assert time.monotonic() < deadline, left


def workers():
    """Pid → pid of the parent, of every worker and of what workers started."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if PROGRAM.encode() in command and stat[0] != "Z":
            found[int(entry.name)] = int(stat[1])
    return {pid: parent for pid, parent in found.items()
            if parent == os.getpid() or found.get(parent) == os.getpid()}  # fmt: skip


@pytest.fixture
def impatient(monkeypatch):
    """Whoever waits gives up after a second, instead of five."""
    monkeypatch.setattr(sockets, "DEADLINE", struct.pack("@ll", 1, 0))
    monkeypatch.setattr(sockets, "_SECONDS", 1)
    monkeypatch.setattr(iperf, "_CONNECT_MS", 1000)


class Streaming(threading.Thread):
    """A stream in a thread of its own, so that the test can break what it runs over."""

    def __init__(self, built, spec):
        super().__init__()
        self.ends = (built.client.ns, built.server.ns, Family.ipv4, built.addresses(Family.ipv4))
        self.spec, self.error, self.server = spec, None, 0

    def run(self):
        """Stream, and keep what went wrong."""
        try:
            with Iperf(*self.ends, self.spec) as pair:
                self.server = pair._pid
                pair.run()
        except TrafficError as error:
            self.error = str(error)
        finally:
            close_workers()

    def ended(self):
        """Wait for the end; what went wrong."""
        self.join(DEADLINE)
        assert not self.is_alive()
        return self.error


def kill_workers():
    """All of them, at once."""
    for pid in workers():
        os.kill(pid, signal.SIGKILL)


def received(built):
    """Bytes that arrived at the server's pod."""
    link = built.server.ns.netlink.link("get", index=built.server.ifindex("eth0"))[0]
    return link.get_attr("IFLA_STATS64")["rx_bytes"]


@pytest.fixture
def begin(built):
    """A function that starts an endless stream, and returns once it flows."""
    begun = []

    def start(grace):
        thread = Streaming(built, Stream(size=1 << 50, grace=grace))
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
    stream = begin(grace=2.0)
    built.server.down("eth0")
    assert "iperf3 client in pod1: no end within 2 s" in stream.ended()


def test_bench_stream_whose_client_is_killed(begin):
    stream = begin(grace=DEADLINE)
    found = workers()
    (client,) = (pid for pid, parent in found.items() if parent in found and pid != stream.server)
    os.kill(client, signal.SIGKILL)
    assert stream.ended() == "iperf3 client in pod1: killed by SIGKILL"


def test_bench_stream_whose_server_is_killed(begin):
    stream = begin(grace=DEADLINE)
    os.kill(stream.server, signal.SIGKILL)
    assert "iperf3 client in pod1: " in stream.ended()


def test_bench_stream_whose_worker_is_killed(begin):
    """What the worker had started dies with it: see `_no_process_left`."""
    stream = begin(grace=DEADLINE)
    found = workers()
    (client,) = (pid for pid, parent in found.items() if parent in found and pid != stream.server)
    os.kill(found[client], signal.SIGKILL)
    assert stream.ended() == "iperf3 client in pod1: killed by SIGKILL"


def test_bench_stream_over_a_dead_link(built):
    built.server.down("eth0")
    thread = Streaming(built, Stream())
    thread.start()
    assert "unable to connect to server" in thread.ended()


def test_bench_nothing_paces_a_stream(built):
    """Libiperf's connection is paced for good if the namespace's default is bbr when it begins."""
    ends = (built.client.ns, built.server.ns, Family.ipv4, built.addresses(Family.ipv4))
    for end in ends[:2]:
        end.sysctl("ipv4/tcp_congestion_control", another_than_reno())
    with Iperf(*ends) as pair:
        pair.run()
        assert [end.read("/proc/sys/net/ipv4/tcp_congestion_control") for end in ends[:2]] == [
            "reno\n"
        ] * 2


def another_than_reno():
    """What a namespace may have for its default: bbr, which paces, where that is allowed."""
    allowed = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control").read_text(encoding="ascii")
    others = [name for name in allowed.split() if name != "reno"]
    if not others:
        pytest.skip("this kernel has no congestion control but reno")
    return "bbr" if "bbr" in others else others[0]


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_bench_round_trip_over_a_link_that_goes_down(built, family, protocol):
    ends = (built.client.ns, built.server.ns, family, built.addresses(family))
    with InlineFlow(*ends, protocol) as flow:
        assert len(flow.burst(5)) == 5
        built.client.down("eth0")
        with pytest.raises(TrafficError, match="pod1 > pod2"):
            flow.burst(5)


def test_bench_round_trip_whose_server_is_killed(built):
    ends = (built.client.ns, built.server.ns, Family.ipv4, built.addresses(Family.ipv4))
    with ProcessFlow(*ends, two_cpus()) as flow:
        flow.burst(5)
        for pid in workers():
            os.kill(pid, signal.SIGSTOP)  # so that neither has answered when it is killed
        killer = threading.Timer(0.2, kill_workers)
        killer.start()
        with pytest.raises(TrafficError, match=r"client in pod1: killed by SIGKILL"):
            flow.burst(5)
        killer.join()


@pytest.mark.parametrize("key", SENDING)
def test_bench_a_measure_over_a_dead_link_is_an_error(built, family, key, impatient):
    built.client.down("eth0")
    with (
        pytest.raises(TrafficError, match=r"pod1|iperf3"),
        MEASURES[key].opened(built, family) as turn,
    ):
        turn()


@pytest.mark.parametrize("key", SENDING)
def test_bench_a_measure_whose_link_goes_down_between_turns_is_an_error(built, key, impatient):
    with MEASURES[key].opened(built, Family.ipv4) as turn:
        assert MEASURES[key].value(turn()) > 0
        built.server.down("eth0")
        with pytest.raises(TrafficError) as error:
            turn()
    assert re.search(SILENCE, str(error.value)), error.value


#: 10 us or so in each local delivery: a multiple of what the path takes.
LAST = "#else\n\treturn redirected("
LOOP = "\tfor (int i = 0; i < 2000; i++)\n\t\tbpf_get_prandom_u32();\n"
SLOWER = Patch("local_delivery.c", LAST, LAST.replace("\treturn", f"{LOOP}\treturn"))


@pytest.mark.parametrize("key", sorted(MEASURES))
def test_bench_a_slower_path_is_worse_in_every_measure(built, key, family, monkeypatch):
    """It is the path that is measured; and two arms that are open at once keep apart."""
    plain = DATAPATHS["bpf"]
    assert isinstance(plain, HostRouting)
    slow = replace(plain, name="bpf-slowed", patches=(SLOWER,))
    monkeypatch.setitem(DATAPATHS, slow.name, slow)
    measure = MEASURES[key]
    values: dict[str, list[float]] = {"bpf": [], "slowed": []}
    with (
        arm(slow.name, "one_node", NodeSettings()).build() as slowed,
        measure.opened(built, family) as plain_turn,
        measure.opened(slowed, family) as slowed_turn,
    ):
        for _ in range(3):
            values["bpf"].append(measure.value(plain_turn()))
            values["slowed"].append(measure.value(slowed_turn()))
    ratio = median(values["slowed"]) / median(values["bpf"])
    assert ratio > 1.1 if measure.better == "lower" else ratio < 0.9, values


@pytest.mark.parametrize("key", PROGRAMS)
def test_bench_program_measures_are_for_arms_with_programs(built, key):
    legacy = arm("legacy", "one_node", NodeSettings())
    assert not MEASURES[key].applies(legacy)
    assert not MEASURES[key].applies(limit("one_node"))
    assert MEASURES[key].applies(arm("bpf", "one_node"))
    with (
        legacy.build() as without,
        pytest.raises(InapplicableError, match="no program attached at master:lxc1 ingress"),
        MEASURES[key].opened(without, Family.ipv4) as turn,
    ):
        turn()


def test_bench_program_cost_of_another_path_is_refused(built, family):
    """The receiver is no longer known, so the packet is looked up, and forwarded to its lxc."""
    table = built.datapaths[0].installed.module.table(f"endpoints{family.value}")
    packed = socket.inet_pton(family.af, built.network.pods[1].addresses[family])
    del table[table.Key.from_buffer_copy(packed)]
    refused = r"from_container on master: its verdict on the test packet is forward, not local"
    with pytest.raises(TrafficError, match=refused), MEASURES["program-cost"].opened(built, family):
        pass


def test_bench_program_run_time_without_programs_on_the_hooks_is_refused(built, family):
    """Where the kernel forwards all the same, only the count of runs tells."""
    node = built.network.nodes[0]
    with MEASURES["program-run-time"].opened(built, family) as turn:
        assert turn().extra == {"runs_per_packet": 1.0}
        for pod in node.pods:
            detach_all(node.ns, node.ifindex(pod.lxc))
        with pytest.raises(TrafficError, match=r"0 program runs for 400 packets|a packet was lost"):
            turn()


def test_bench_program_run_time_without_one_of_three_programs_is_refused(apart, family):
    """The NIC's egress program only counts: without it traffic flows, and seems to cost less."""
    with MEASURES["program-run-time"].opened(apart, family) as turn:
        assert turn().extra == {"runs_per_packet": 3.0}
        node = apart.network.nodes[0]
        detach_all(node.ns, node.ifindex("enp0s8"))
        with pytest.raises(TrafficError, match=r"\d+ program runs for 400 packets|was lost"):
            turn()


def test_bench_run_time_statistics_end_with_the_measure(built):
    module = built.datapaths[0].installed.module
    ends = (built.client.ns, built.server.ns, Family.ipv4, built.addresses(Family.ipv4))
    with InlineFlow(*ends) as flow:
        before = program_run_time(module.fd("from_container"))
        with MEASURES["program-run-time"].opened(built, Family.ipv4) as turn:
            turn()
        measured = program_run_time(module.fd("from_container"))
        flow.burst(50)
        after = program_run_time(module.fd("from_container"))
    assert (measured - before).runs >= 400
    assert after == measured or Path("/proc/sys/kernel/bpf_stats_enabled").read_text() != "0\n"


def test_bench_connections_count_what_conntrack_keeps(built):
    with arm("legacy", "one_node", NodeSettings()).build() as legacy:
        entries = []
        for measured in (built, legacy):
            with MEASURES["connections"].opened(measured, Family.ipv4) as turn:
                turn()
                entries.append(turn().extra["conntrack_entries"])
    assert entries[0] == 0
    assert entries[1] >= 200
