# SPDX-License-Identifier: Apache-2.0
"""iperf3 between two namespaces: a server that stays, and one client for each test.

Both run in children of workers, see `worker_jobs/iperf.py`.
"""

from __future__ import annotations

import json
import os
import select
import time
from dataclasses import dataclass
from typing import Any, NoReturn

from harness.plumbing.closable import Closable
from harness.plumbing.errors import TrafficError, UnknownNameError
from harness.plumbing.netns import NetNS
from harness.plumbing.signals import interruptible
from harness.topology import Family
from harness.traffic.workers import raise_if_failed, workers

PORT = 5201
_LISTEN_SECONDS = 20.0
_POLL_SECONDS = 0.0005
_CONNECT_MS = 2000  # the kernel answers, whatever the load
_LISTEN = "0A"  # TCP_LISTEN, include/net/tcp_states.h


@dataclass(frozen=True)
class Stream:
    """What to send.

    Attributes:
        size: Bytes, of all streams together. Not seconds: libiperf takes whole ones only.
        streams: How many connections at once.
        reverse: The server sends.
        window: Socket buffers of both ends, bytes; 0 leaves them to the kernel.
        interval: Seconds between the client's own counts.
        cpus: The client's and the server's CPU; None pins neither.
        grace: Seconds after which a test counts as hung.
    """

    size: int = 64 << 20
    streams: int = 1
    reverse: bool = False
    window: int = 0
    interval: float = 0.001
    cpus: tuple[int, int] | None = None
    grace: float = 15.0

    def __post_init__(self) -> None:
        if self.size < 1 or self.streams < 1:
            raise UnknownNameError(
                f"stream: {self.size} bytes over {self.streams} streams is nothing"
            )

    def settings(self) -> dict[str, object]:
        """What the wrapper has properties for."""
        return {"num_streams": self.streams, "reverse": self.reverse}

    def options(self) -> dict[str, object]:
        """What libiperf has setters for; a window of 0 leaves its default."""
        chosen: dict[str, object] = {
            "bytes": self.size,
            "connect_timeout": _CONNECT_MS,
            "duration": 0,
            "reporter_interval": self.interval,
            "stats_interval": self.interval,
        }
        return chosen | ({"socket_bufsize": self.window} if self.window else {})


@dataclass(frozen=True)
class StreamResult:
    """What arrived.

    Attributes:
        bits_per_second: As the receiver counted them over the whole test, all streams together.
        seconds: How long it received.
        retransmits: TCP segments sent again.
        rates: Bit/s of each interval in which anything moved, as the client counted them; those
            cut short by the test's end are left out.
        stalled: Intervals in which nothing moved.
    """

    bits_per_second: float
    seconds: float
    retransmits: int
    rates: list[float]
    stalled: int


def parse_result(found: dict[str, Any], interval: float) -> StreamResult:
    """Read libiperf's result.

    Args:
        found: Its `end`, and the sums of its `intervals`.
        interval: Seconds that an interval was to last.

    Raises:
        TrafficError: It lacks what it must have, or nothing arrived.
    """
    try:
        received, sent = found["end"]["sum_received"], found["end"]["sum_sent"]
        rates = [float(part["bits_per_second"]) for part in found["intervals"]
                 if part["seconds"] > interval / 2]  # fmt: skip
        result = StreamResult(
            bits_per_second=float(received["bits_per_second"]),
            seconds=float(received["seconds"]),
            retransmits=int(sent.get("retransmits", 0)),
            rates=[rate for rate in rates if rate],
            stalled=rates.count(0),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TrafficError(
            f"iperf3: the result lacks a field or has it wrong ({error!r})"
        ) from None
    if not (result.bits_per_second > 0 and result.seconds > 0):
        raise TrafficError("iperf3: no byte arrived", "does the datapath forward?")
    return result


class Iperf(Closable):
    """A server, and tests against it; `with` ends it."""

    def __init__(
        self,
        client: NetNS,
        server: NetNS,
        family: Family,
        addresses: tuple[str, str],
        spec: Stream | None = None,
    ) -> None:
        """Start the server.

        Args:
            client: The namespace that connects.
            server: The namespace that listens.
            family: Of both addresses.
            addresses: The client's and the server's.
            spec: What a test sends.

        Raises:
            MissingToolError: libiperf, or its wrapper, is not installed.
            TrafficError: The server's worker failed.
        """
        self.spec = spec or Stream()
        self._client, self._server, self._family = client, server, family
        self._addresses = addresses
        self._who = f"iperf3 server in {server.name}"
        self._cpus = [[cpu] for cpu in self.spec.cpus] if self.spec.cpus else [[], []]
        for ns in (client, server):
            _let_nothing_pace(ns)
        self._ready, ready = os.pipe()
        try:
            with workers("server") as (worker,):
                worker.begin("iperf server", self._who, [server, ready], self._cpus[1],
                             port=PORT, bind_address=addresses[1])  # fmt: skip
                self._pid = worker.result()["pid"]
                self._parent = worker.pid
        except BaseException:
            os.close(self._ready)
            raise
        finally:
            os.close(ready)

    def close(self) -> None:
        """End the server."""
        os.close(self._ready)
        with workers("server") as (worker,):
            if worker.pid == self._parent:  # else it died, and the server with it
                worker.begin("iperf server's end", self._who, pid=self._pid)
                worker.result()

    def run(self) -> StreamResult:
        """Run one test to its end.

        Raises:
            TrafficError: An end failed, was killed, or did not end in time.
        """
        self._await_listening()
        settings = self.spec.settings() | {
            "port": PORT, "server_hostname": self._addresses[1], "bind_address": self._addresses[0],
        }  # fmt: skip
        with workers("client") as (worker,):
            worker.begin("iperf client", f"iperf3 client in {self._client.name}", [self._client],
                         self._cpus[0], settings=settings, options=self.spec.options())  # fmt: skip
            return parse_result(worker.result(self.spec.grace), self.spec.interval)

    def _is_ready(self, seconds: float) -> bool:
        """Whether the server has said something by then; a descriptor may be beyond select(2)."""
        waiting = select.poll()
        waiting.register(self._ready, select.POLLIN)
        with interruptible():
            return bool(waiting.poll(seconds * 1000))

    def _await_listening(self) -> None:
        """Wait until the server says that it is about to listen, and then until it does.

        Raises:
            TrafficError: It ended, or does not listen in time.
        """
        deadline = time.monotonic() + _LISTEN_SECONDS
        if not self._is_ready(_LISTEN_SECONDS):
            raise TrafficError(f"{self._who}: not ready after {_LISTEN_SECONDS:g} s")
        self._hear()
        table = "/proc/net/tcp" if self._family is Family.ipv4 else "/proc/net/tcp6"
        while not listens(self._server.read(table), PORT):
            if self._is_ready(0):
                self._hear()
            if time.monotonic() > deadline:
                raise TrafficError(
                    f"{self._who}: port {PORT} not listening after {_LISTEN_SECONDS:g} s"
                )
            time.sleep(_POLL_SECONDS)

    def _hear(self) -> None:
        """Take what the server wrote: points, each of which says that it lives and tries again.

        What follows them is the report of a server that has ended: `raise_if_failed`.
        """
        said = os.read(self._ready, 1 << 16)
        if not said or said.strip(b"."):
            self._ended(said)

    def _ended(self, said: bytes) -> NoReturn:
        while more := os.read(self._ready, 1 << 16):
            said += more
        if report := said.lstrip(b"."):
            raise_if_failed(json.loads(report), self._who)
        raise TrafficError(f"{self._who}: it was killed")


def _let_nothing_pace(ns: NetNS) -> None:
    """Make Reno the namespace's default congestion control; every kernel has it.

    It is no use to have libiperf ask for it: it does so when the connection stands. If the default
    is bbr, as on many machines, the connection has by then been told to pace itself
    (sk_pacing_status, net/ipv4/tcp_bbr.c), and paces on under any other: a third of the
    throughput, and by timers.
    """
    ns.sysctl("ipv4/tcp_congestion_control", "reno")


def run_stream(
    client: NetNS,
    server: NetNS,
    family: Family,
    addresses: tuple[str, str],
    spec: Stream | None = None,
) -> StreamResult:
    """One test, with a server of its own; as `Iperf`."""
    with Iperf(client, server, family, addresses, spec) as iperf:
        return iperf.run()


def listens(table: str, port: int) -> bool:
    """Whether a socket of /proc/net/tcp's text listens on a port."""
    for line in table.splitlines()[1:]:
        _, local, _, state = line.split()[:4]
        if state == _LISTEN and int(local.rpartition(":")[2], 16) == port:
            return True
    return False
