# SPDX-License-Identifier: Apache-2.0
"""The iperf3 wrapper: its parsers, and workers around a libiperf that misbehaves."""

import os
import signal
import socket
import time

import pytest

from harness.plumbing.errors import MissingToolError, TrafficError, UnknownNameError
from harness.traffic import iperf
from harness.traffic.iperf import Iperf, Stream, listens, parse_result, run_stream
from harness.traffic.workers import close_workers
from tests.support.loopback import descendants, ends

TCP = {
    "sum_sent": {"bits_per_second": 2.1e9, "retransmits": 3},
    "sum_received": {"bits_per_second": 2e9, "seconds": 1.0},
}
PROC_NET_TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0B01000A:1451 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2013
   1: 0B01000A:1452 0A01000A:A2C4 01 00000000:00000000 00:00000000 00000000     0        0 2014
"""
PROC_NET_TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue
   0: 100000FD010000000000000B00000000:1451 00000000000000000000000000000000:0000 0A 00000000
"""


INTERVALS = [
    {"seconds": 0.001, "bits_per_second": 3e9},
    {"seconds": 0.0021, "bits_per_second": 0},
    {"seconds": 0.001, "bits_per_second": 1e9},
    {"seconds": 0.0003, "bits_per_second": 9e9},
]


def test_what_the_receiver_counted_is_the_result():
    result = parse_result({"end": TCP, "intervals": INTERVALS}, 0.001)
    assert (result.bits_per_second, result.seconds, result.retransmits) == (2e9, 1.0, 3)


def test_intervals_are_rates_but_for_those_cut_short_or_stalled():
    result = parse_result({"end": TCP, "intervals": INTERVALS}, 0.001)
    assert result.rates == [3e9, 1e9]
    assert result.stalled == 1


@pytest.mark.parametrize(
    "end",
    [
        {},
        {"sum_received": {}},
        {"sum_received": None},
        {"sum_received": TCP["sum_received"], "sum_sent": None},
        {"sum_received": {"bits_per_second": "much", "seconds": 1}, "sum_sent": {}},
    ],
)
def test_a_summary_without_its_fields_is_an_error(end):
    with pytest.raises(TrafficError, match="lacks a field"):
        parse_result({"end": end, "intervals": []}, 0.001)


@pytest.mark.parametrize("intervals", [None, [None], [{}], [{"seconds": "long"}]])
def test_intervals_without_their_fields_are_an_error(intervals):
    with pytest.raises(TrafficError, match="lacks a field"):
        parse_result({"end": TCP, "intervals": intervals}, 0.001)


@pytest.mark.parametrize(("bits", "seconds"), [(0, 1.0), (1.0, 0), (float("nan"), 1), (-1, 1)])
def test_nothing_received_is_an_error(bits, seconds):
    received = {"bits_per_second": bits, "seconds": seconds}
    with pytest.raises(TrafficError, match="no byte arrived"):
        parse_result({"end": {"sum_received": received, "sum_sent": {}}, "intervals": []}, 0.001)


def test_listening_is_told_from_connected():
    assert listens(PROC_NET_TCP, 0x1451)
    assert not listens(PROC_NET_TCP, 0x1452)
    assert listens(PROC_NET_TCP6, 0x1451)
    assert not listens("  sl  local_address\n", 0x1451)


@pytest.mark.parametrize("nothing", [{"size": 0}, {"streams": 0}, {"size": -1}])
def test_nothing_to_send_is_refused(nothing):
    with pytest.raises(UnknownNameError, match="is nothing"):
        Stream(**nothing)


def test_a_window_is_set_only_if_asked_for():
    assert Stream(window=1 << 17).options()["socket_bufsize"] == 1 << 17
    assert "socket_bufsize" not in Stream().options()
    options = Stream(size=1 << 20, interval=0.002).options()
    assert (options["bytes"], options["stats_interval"]) == (1 << 20, 0.002)
    assert options["stats_interval"] == options["reporter_interval"]


@pytest.fixture
def libiperf(tmp_path, monkeypatch):
    """Puts a module called iperf3 before the real one in the workers."""
    close_workers()

    def install(source):
        (tmp_path / "iperf3.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setattr(iperf, "PORT", taken.getsockname()[1])
    yield install
    close_workers()
    await_none_left()


def await_none_left():
    """What a killed worker had started dies with it, a moment later."""
    deadline = time.monotonic() + 10
    while left := descendants():
        assert time.monotonic() < deadline, left


def stream(spec=None):
    return run_stream(*ends(), spec)


FAKE = """
import os, socket, time

class Result:
    def __init__(self, error=None, end={end!r}):
        parts = [{{"sum": {{"seconds": 0.001, "bits_per_second": 2e9}}}}]
        self.error, self.json = error, {{"end": end, "intervals": parts}}

class Library:
    def iperf_run_server(self, test):
        {server}
        return 0
    def __getattr__(self, name):
        return type("Setter", (), {{"__call__": lambda self, *arguments: None}})()

class Endpoint:
    _test = None
    def __init__(self, lib_name):
        self.lib = Library()
        self._pipe_in = os.pipe()[1]
        Library.endpoint = self

class Server(Endpoint):
    pass

class Client(Endpoint):
    def run(self):
        {client}
"""
ACCEPT = "socket.create_server((self.endpoint.bind_address, self.endpoint.port)).accept()"
SERVES = f"{ACCEPT}; time.sleep(60)"
CONNECTS = "socket.create_connection((self.server_hostname, self.port)).close()"


def fake(client="return Result()", server=SERVES):
    return FAKE.format(client=client, server=server, end=TCP)


def test_a_result_comes_back(libiperf):
    libiperf(fake())
    result = stream()
    assert (result.bits_per_second, result.rates) == (2e9, [2e9])


def test_one_server_serves_test_after_test(libiperf):
    libiperf(fake(client=f"{CONNECTS}; return Result()", server=ACCEPT))
    with Iperf(*ends()) as pair:
        assert [pair.run().retransmits for _ in range(5)] == [3] * 5


def test_two_servers_wait_side_by_side(libiperf, monkeypatch):
    libiperf(fake(client=f"{CONNECTS}; return Result()", server=ACCEPT))
    with Iperf(*ends()) as one:
        one.run()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            first, second = iperf.PORT, taken.getsockname()[1]
        monkeypatch.setattr(iperf, "PORT", second)
        with Iperf(*ends()) as other:
            other.run()
            monkeypatch.setattr(iperf, "PORT", first)
            one.run()


def test_a_turn_of_many_intervals_comes_back_whole(libiperf):
    libiperf(fake(client="result = Result(); result.json['intervals'] *= 20_000; return result"))
    assert len(stream().rates) == 20_000


def test_a_result_beyond_any_pipe_does_not_hang(libiperf):
    text = "import json; text = json.dumps(Result().__dict__) + ' ' * (3 << 20)"
    written = f"{text}; os.write(self._pipe_in, text.encode()); assert read_pipe(0) == text"
    libiperf(fake(client=f"{written}; return Result()"))
    assert stream(Stream(grace=5)).bits_per_second == 2e9


def test_output_beside_the_result_does_no_harm(libiperf):
    libiperf(fake("print('Control connection', flush=True); os.write(1, b'{'); return Result()"))
    assert stream().bits_per_second == 2e9


def test_an_error_of_libiperf_is_told(libiperf):
    libiperf(fake("return Result('the server is busy')"))
    with pytest.raises(TrafficError, match="iperf3 client in pod1: the server is busy"):
        stream()


def test_foreign_json_is_an_error(libiperf):
    libiperf(fake("import json; return json.loads('{')"))
    with pytest.raises(TrafficError, match="result cannot be read"):
        stream()


def test_a_client_that_hangs_is_killed(libiperf):
    libiperf(fake("time.sleep(60)"))
    with pytest.raises(TrafficError, match=r"client in pod1: no end within 0\.2 s"):
        stream(Stream(grace=0.2))
    await_only_workers(1)


def await_only_workers(count):
    """Nothing but that many workers is left."""
    deadline = time.monotonic() + 10
    while len(left := descendants()) != count:
        assert time.monotonic() < deadline, left
    assert set(left.values()) == {os.getpid()}


def test_a_client_that_is_killed_is_told(libiperf):
    libiperf(fake("os.kill(os.getpid(), 9)"))
    with pytest.raises(TrafficError, match="client in pod1: killed by SIGKILL"):
        stream()
    await_only_workers(2)


def test_a_server_that_never_listens(libiperf, monkeypatch):
    monkeypatch.setattr(iperf, "_LISTEN_SECONDS", 0.5)
    libiperf(fake(server="time.sleep(60)"))
    with pytest.raises(TrafficError, match=r"server in pod2: port \d+ not listening after 0\.5 s"):
        stream()


def test_a_server_that_cannot_listen(libiperf):
    libiperf(fake(server="return -2"))
    with pytest.raises(TrafficError, match=r"server in pod2: it cannot serve port \d+ of 127"):
        stream()


def test_a_server_that_fails_over_and_over_ends(libiperf):
    libiperf(fake(server="return -1"))
    with pytest.raises(TrafficError, match="server in pod2: it cannot serve"):
        stream()


ONCE = "Library.n = getattr(Library, 'n', 0) + 1; Library.n == 1 or {}; return -1"


def test_a_server_that_failed_once_and_does_not_listen_then(libiperf, monkeypatch):
    monkeypatch.setattr(iperf, "_LISTEN_SECONDS", 0.5)
    libiperf(fake(server=ONCE.format("time.sleep(60)")))
    with pytest.raises(TrafficError, match=r"port \d+ not listening after 0\.5 s"):
        stream()


def test_a_server_that_failed_once_and_is_killed_then(libiperf):
    libiperf(fake(server=ONCE.format("os.kill(os.getpid(), 9)")))
    with pytest.raises(TrafficError, match="server in pod2: it was killed"):
        stream()


def test_a_server_that_ends_at_once(libiperf):
    libiperf(fake(server="os._exit(3)"))
    with pytest.raises(TrafficError, match="server in pod2: it was killed"):
        stream()


def test_a_server_killed_between_two_tests(libiperf):
    libiperf(fake(client=f"{CONNECTS}; return Result()", server=ACCEPT))
    with Iperf(*ends()) as pair:
        pair.run()
        os.kill(pair._pid, signal.SIGKILL)
        while pair._pid in descendants():
            pass
        with pytest.raises(TrafficError, match="server in pod2: it was killed"):
            pair.run()


def test_libiperf_missing_says_what_to_install(libiperf):
    libiperf(
        fake().replace(
            "    def __init__(self, lib_name):",
            "    def __init__(self, lib_name):\n        raise OSError("
            '"Couldn\'t find shared library libiperf.so.0, is iperf3 installed?")',
        )
    )
    with pytest.raises(MissingToolError, match=r"libiperf is not installed.*apt-get install"):
        stream()


def test_the_wrapper_missing_says_what_to_install(libiperf):
    libiperf("raise ImportError('No module named iperf3')")
    with pytest.raises(MissingToolError, match="pip install iperf3"):
        stream()
