# SPDX-License-Identifier: Apache-2.0
"""The iperf3 wrapper: its parsers, and worker processes around a libiperf that misbehaves."""

import os
import socket
from pathlib import Path

import pytest

from harness import process
from harness.errors import MissingToolError, TrafficError, UnknownNameError
from harness.topology import Family
from harness.traffic import iperf
from harness.traffic.iperf import Stream, listens, parse_answer, parse_result, run_stream

TCP = {
    "sum_sent": {"bits_per_second": 2.1e9, "retransmits": 3},
    "sum_received": {"bits_per_second": 2e9, "seconds": 1.0},
}
UDP = {"sum": {"bits_per_second": 1e9, "seconds": 1.0, "lost_percent": 2.5}}
PROC_NET_TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0B01000A:1451 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2013
   1: 0B01000A:1452 0A01000A:A2C4 01 00000000:00000000 00:00000000 00000000     0        0 2014
"""
PROC_NET_TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue
   0: 100000FD010000000000000B00000000:1451 00000000000000000000000000000000:0000 0A 00000000
"""


def test_what_the_receiver_counted_is_the_result():
    result = parse_result(TCP)
    assert (result.bits_per_second, result.seconds, result.retransmits) == (2e9, 1.0, 3)
    assert parse_result(UDP).lost_percent == 2.5


@pytest.mark.parametrize(
    "end",
    [
        {},
        {"sum_received": {}},
        {"sum_received": None},
        {"sum_received": {"bits_per_second": "much", "seconds": 1}},
    ],
)
def test_a_summary_without_its_fields_is_an_error(end):
    with pytest.raises(TrafficError, match="lacks a field"):
        parse_result(end)


def test_nothing_received_is_an_error():
    with pytest.raises(TrafficError, match="no byte arrived"):
        parse_result({"sum_received": {"bits_per_second": 0, "seconds": 1.0}})


def test_listening_is_told_from_connected():
    assert listens(PROC_NET_TCP, 0x1451)
    assert not listens(PROC_NET_TCP, 0x1452)
    assert listens(PROC_NET_TCP6, 0x1451)
    assert not listens("  sl  local_address\n", 0x1451)


def test_a_worker_that_says_nothing():
    with pytest.raises(TrafficError, match=r"client in pod1: ended without a result \(Segm"):
        parse_answer(b"", b"x\nSegmentation fault\n", "client in pod1")
    with pytest.raises(TrafficError, match="no output"):
        parse_answer(b'{"end": {"cut', b"", "client in pod1")


@pytest.mark.parametrize("seconds", [0, -1, 0.5])
def test_libiperf_takes_whole_seconds(seconds):
    with pytest.raises(UnknownNameError, match="whole number of seconds"):
        Stream(seconds=seconds)


def test_udp_gets_a_rate_and_no_fragments():
    options = Stream(protocol="udp", bits_per_second=10**9).options()
    assert (options["blksize"], options["bandwidth"]) == (1400, 10**9)
    assert "congestion_control" not in options
    assert Stream(window=1 << 17).options()["socket_bufsize"] == 1 << 17


class Here:
    """The caller's own namespace."""

    name = "here"

    def spawn(self, argv, **popen):
        return process.spawn(argv, **popen)

    def read(self, path):
        return Path(path).read_text(encoding="ascii")


@pytest.fixture
def libiperf(tmp_path, monkeypatch):
    """Puts a module called iperf3 before the real one in the workers."""

    def install(source):
        (tmp_path / "iperf3.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setattr(iperf, "PORT", taken.getsockname()[1])
    return install


def stream(spec=None):
    here = Here()
    return run_stream(here, here, Family.ipv4, ("127.0.0.1", "127.0.0.1"), spec)


def workers():
    """Worker processes of ours that still run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == os.getpid() and b"iperf_worker" in command:
            found.append(entry.name)
    return found


FAKE = """
import os, socket, time

class Result:
    def __init__(self, error=None, end={end!r}):
        self.error, self.json = error, {{"end": end}}

class Library:
    def __getattr__(self, name):
        return type("Setter", (), {{"__call__": lambda self, *arguments: None}})()

class Endpoint:
    lib, _test = Library(), None
    def __init__(self):
        self._pipe_in = os.pipe()[1]

class Server(Endpoint):
    def run(self):
        {server}

class Client(Endpoint):
    def run(self):
        {client}
"""
SERVES = "socket.create_server((self.bind_address, self.port)).accept(); time.sleep(60)"


def fake(client="return Result()", server=SERVES):
    return FAKE.format(client=client, server=server, end=TCP)


def test_a_result_comes_back(libiperf):
    libiperf(fake())
    assert stream().bits_per_second == 2e9
    assert workers() == []


def test_output_beside_the_result_does_no_harm(libiperf):
    libiperf(fake("print('Control connection', flush=True); os.write(1, b'{'); return Result()"))
    assert stream().bits_per_second == 2e9


def test_an_error_of_libiperf_is_told(libiperf):
    libiperf(fake("return Result('the server is busy')"))
    with pytest.raises(TrafficError, match="client in here: the server is busy"):
        stream()
    assert workers() == []


def test_foreign_json_is_an_error(libiperf):
    libiperf(fake("import json; return json.loads('{')"))
    with pytest.raises(TrafficError, match="result cannot be read"):
        stream()


def test_a_client_that_hangs_is_killed(libiperf):
    libiperf(fake("time.sleep(60)"))
    with pytest.raises(TrafficError, match=r"client in here: no end within 1\.2 s"):
        stream(Stream(grace=0.2))
    assert workers() == []


def test_a_client_that_is_killed_is_told(libiperf):
    libiperf(fake("os.kill(os.getpid(), 9)"))
    with pytest.raises(TrafficError, match="client in here: killed by SIGKILL"):
        stream()
    assert workers() == []


def test_a_server_that_never_listens(libiperf, monkeypatch):
    monkeypatch.setattr(iperf, "_LISTEN_SECONDS", 0.5)
    libiperf(fake(server="time.sleep(60)"))
    with pytest.raises(TrafficError, match=r"server in here: port \d+ not listening after 0\.5 s"):
        stream()
    assert workers() == []


def test_a_server_that_ends_at_once(libiperf):
    libiperf(fake(server="os._exit(3)"))
    with pytest.raises(TrafficError, match="server in here: ended without a result"):
        stream()


def test_libiperf_missing_says_what_to_install(libiperf):
    libiperf(
        "class Server:\n    def __init__(self):\n        raise OSError("
        '"Couldn\'t find shared library libiperf.so.0, is iperf3 installed?")\n'
    )
    with pytest.raises(MissingToolError, match=r"libiperf is not installed.*apt-get install"):
        stream()


def test_the_wrapper_missing_says_what_to_install(libiperf):
    libiperf("raise ImportError('No module named iperf3')")
    with pytest.raises(MissingToolError, match="pip install iperf3"):
        stream()
