# SPDX-License-Identifier: Apache-2.0
"""An iperf3 stream between two namespaces, each end in a process of its own. Floor 4.

Why processes: see `iperf_worker`. Both are bound to us by `process.spawn` and killed on leaving.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.errors import MissingToolError, TrafficError, UnknownNameError
from harness.netns import NetNS
from harness.topology import Family

PORT = 5201
_WORKER = Path(__file__).with_name("iperf_worker.py")
_LISTEN_SECONDS = 20.0
_POLL_SECONDS = 0.002
_CONNECT_MS = 2000  # the kernel answers, whatever the load
_GRACE_SECONDS = 15.0  # a worker starts in 0.05 s, and in seconds where CPUs are overbooked
_LISTEN = "0A"  # TCP_LISTEN, include/net/tcp_states.h
_INSTALL = {
    "libiperf": "run `apt-get install libiperf0`",
    "the Python package iperf3": "run `pip install iperf3`",
}


@dataclass(frozen=True)
class Stream:
    """What to send.

    Attributes:
        protocol: What carries it.
        seconds: How long; whole seconds, which is all that libiperf takes.
        streams: How many connections at once.
        reverse: The server sends.
        congestion: TCP's congestion control.
        window: Socket buffers of both ends, bytes; 0 leaves them to the kernel.
        block: Bytes given to one send(); for UDP a datagram's payload.
        bits_per_second: UDP's rate; TCP sends what it can.
        cpus: The client's and the server's CPU; None pins neither.
        grace: Seconds beyond `seconds` after which the run counts as hung.
    """

    protocol: Literal["tcp", "udp"] = "tcp"
    seconds: int = 1
    streams: int = 1
    reverse: bool = False
    congestion: str = "cubic"
    window: int = 0
    block: int = 0
    bits_per_second: int = 0
    cpus: tuple[int, int] | None = None
    grace: float = _GRACE_SECONDS

    def __post_init__(self) -> None:
        if self.protocol not in ("tcp", "udp"):
            raise UnknownNameError(f"protocol {self.protocol!r} is unknown", "use tcp or udp")
        if self.seconds < 1 or self.seconds % 1:
            raise UnknownNameError(f"stream: {self.seconds} s is not a whole number of seconds")

    def options(self) -> dict[str, object]:
        """What `iperf_worker` sets on the client; 0 leaves libiperf's default."""
        udp = self.protocol == "udp"
        chosen: dict[str, object] = {
            "protocol": self.protocol,
            "duration": self.seconds,
            "num_streams": self.streams,
            "reverse": self.reverse,
            "connect_timeout": _CONNECT_MS,
            "socket_bufsize": self.window,
            # libiperf's 65507 bytes of UDP would travel as 45 fragments.
            "blksize": self.block or (1400 if udp else 0),
            "bandwidth": self.bits_per_second if udp else 0,
            "congestion_control": "" if udp else self.congestion,
        }
        return {name: value for name, value in chosen.items() if value}


@dataclass(frozen=True)
class StreamResult:
    """What arrived.

    Attributes:
        bits_per_second: As the receiver counted them, all streams together.
        seconds: How long it received.
        retransmits: TCP segments sent again; 0 for UDP.
        lost_percent: UDP datagrams that did not arrive; 0 for TCP.
        end: libiperf's whole summary, its key `end`.
    """

    bits_per_second: float
    seconds: float
    retransmits: int
    lost_percent: float
    end: dict[str, Any]


def parse_result(end: dict[str, Any]) -> StreamResult:
    """Read libiperf's summary.

    Raises:
        TrafficError: It lacks what it must have, or nothing arrived.
    """
    try:
        received = end["sum_received"] if "sum_received" in end else end["sum"]
        result = StreamResult(
            bits_per_second=float(received["bits_per_second"]),
            seconds=float(received["seconds"]),
            retransmits=int(end.get("sum_sent", {}).get("retransmits", 0)),
            lost_percent=float(received.get("lost_percent", 0)),
            end=end,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TrafficError(
            f"iperf3: the result lacks a field or has it wrong ({error!r})"
        ) from None
    if result.bits_per_second <= 0 or result.seconds <= 0:
        raise TrafficError("iperf3: no byte arrived", "does the datapath forward?")
    return result


def run_stream(
    client: NetNS,
    server: NetNS,
    family: Family,
    addresses: tuple[str, str],
    spec: Stream | None = None,
) -> StreamResult:
    """Run one stream from `client` to `server` and wait for its end.

    Args:
        client: The namespace that connects.
        server: The namespace that listens.
        family: Of both addresses.
        addresses: The client's and the server's.
        spec: What to send.

    Raises:
        MissingToolError: libiperf, or its wrapper, is not installed.
        TrafficError: An end failed, was killed, or did not end in time. No process is left.
    """
    spec = spec or Stream()
    cpus = [[cpu] for cpu in spec.cpus] if spec.cpus else [[], []]
    there = {"port": PORT, "bind_address": addresses[1], "cpus": cpus[1]}
    here = {"port": PORT, "bind_address": addresses[0], "cpus": cpus[0], **spec.options()}
    with _endpoint(server, {"role": "server", **there}) as listening:
        _await_listening(listening, server, family)
        options = {"role": "client", "server_hostname": addresses[1], **here}
        with _endpoint(client, options) as sending:
            answer = _answer(sending, f"client in {client.name}", spec.seconds + spec.grace)
    return parse_result(answer)


@contextmanager
def _endpoint(ns: NetNS, options: dict[str, object]) -> Iterator[subprocess.Popen[bytes]]:
    # -P keeps this directory, whose modules are ours, off the worker's module path.
    argv = [sys.executable, "-P", str(_WORKER), json.dumps(options)]
    child: subprocess.Popen[bytes] = ns.spawn(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with child:
        try:
            yield child
        finally:
            child.kill()


def _await_listening(child: subprocess.Popen[bytes], ns: NetNS, family: Family) -> None:
    table = "/proc/net/tcp" if family is Family.ipv4 else "/proc/net/tcp6"
    deadline = time.monotonic() + _LISTEN_SECONDS
    while not listens(ns.read(table), PORT):
        if time.monotonic() > deadline:
            raise TrafficError(
                f"iperf3 server in {ns.name}: port {PORT} not listening after {_LISTEN_SECONDS:g} s"
            )
        try:
            child.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        _answer(child, f"server in {ns.name}", _GRACE_SECONDS)
        raise TrafficError(f"iperf3 server in {ns.name}: ended before any client came")


def listens(table: str, port: int) -> bool:
    """Whether a socket of /proc/net/tcp's text listens on a port."""
    for line in table.splitlines()[1:]:
        _, local, _, state = line.split()[:4]
        if state == _LISTEN and int(local.rpartition(":")[2], 16) == port:
            return True
    return False


def _answer(child: subprocess.Popen[bytes], who: str, seconds: float) -> dict[str, Any]:
    """The summary that a worker printed; raises what it, or its silence, says."""
    try:
        out, err = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise TrafficError(
            f"iperf3 {who}: no end within {seconds:g} s", "is a link down, or a CPU starved?"
        ) from None
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        raise TrafficError(f"iperf3 {who}: killed by {name} before its result")
    return parse_answer(out, err, who)


def parse_answer(out: bytes, err: bytes, who: str) -> dict[str, Any]:
    """Read a worker's one line.

    Raises:
        MissingToolError: It says that something is not installed.
        TrafficError: It says anything else, or nothing.
    """
    try:
        answer = json.loads(out)
    except ValueError:
        last = err.decode(errors="replace").strip().splitlines()[-1:] or ["no output"]
        raise TrafficError(f"iperf3 {who}: ended without a result ({last[0]})") from None
    if "missing" in answer:
        missing = answer["missing"]
        raise MissingToolError(f"iperf3 {who}: {missing} is not installed", _INSTALL[missing])
    if "error" in answer:
        raise TrafficError(f"iperf3 {who}: {answer['error']}")
    end: dict[str, Any] = answer["end"]
    return end
