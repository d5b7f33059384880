# SPDX-License-Identifier: Apache-2.0
"""Capture on every interface of a testbed at once."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from itertools import accumulate, islice
from pathlib import Path
from typing import Protocol

from harness.plumbing.errors import CaptureError
from harness.plumbing.netns import NetNS
from harness.watch.capture.frame import Frame, read_pcap
from harness.watch.capture.tcpdump import DIRECTIONS, Tcpdump, prove_complete

#: Holds the headers of a packet and of one it quotes, and leaves the ring room for 5,000 frames: on
#: a machine that does not schedule tcpdump for seconds, those of a whole test.
HEADERS = 256
#: Holds whole frames of the usual MTU, as checksums need them; the ring has room for 900.
WHOLE = 2048
_FULL = 1 << 16  # less room than this, in bytes, and a write of tcpdump's may have failed


class Tapped(Protocol):
    """Whose interface is captured on, as a `Host`."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def ns(self) -> NetNS:
        """The namespace that the interface is in."""
        ...


class Taps(Protocol):
    """Where to capture, as a `Network`."""

    def interfaces(self) -> Sequence[tuple[Tapped, str]]:
        """Every interface, and whose it is."""
        ...


class Capture:
    """Two tcpdumps an interface, one for each direction, all started at once.

    Attributes:
        directory: Where the pcap files are: `pod1-eth0.in.pcap` and so on: GitHub refuses a colon.
    """

    def __init__(
        self, network: Taps, directory: Path, snaplen: int = HEADERS,
        only: Collection[str] = (), expression: str = "",
    ) -> None:  # fmt: skip
        """Start capturing; returns when every tcpdump listens.

        Args:
            network: What to capture on.
            directory: Where the pcap files go.
            snaplen: Bytes kept of a frame: `HEADERS` or `WHOLE`.
            only: Names of the hosts to capture on; empty: on all.
            expression: Which packets, as pcap-filter(7) has it; empty: all.

        Raises:
            CaptureError: One did not start.
        """
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._dumps: list[Tcpdump] = []
        try:
            for host, ifname in network.interfaces():
                if only and host.name not in only:
                    continue
                for direction in DIRECTIONS:
                    path = directory / f"{host.name}-{ifname}.{direction}.pcap"
                    self._dumps.append(
                        Tcpdump(host.ns, ifname, direction, path, snaplen, expression)
                    )
            for dump in self._dumps:
                dump.await_ready()
        except BaseException:
            self.close()
            raise

    def finish(self) -> list[Frame]:
        """Prove every file complete, stop, and return all frames in the order of their times.

        Call it when the traffic has ended.

        Raises:
            CaptureError: A capture is not complete.
        """
        try:
            held: dict[Tcpdump, int] = {}
            for pair in zip(self._dumps[::2], self._dumps[1::2], strict=True):
                held |= dict(zip(pair, prove_complete(pair), strict=True))
        finally:
            for dump in self._dumps:
                dump.stop()
        timed: list[tuple[int, Frame]] = []
        for dump, count in held.items():
            # What came between the proof and the end (a late neighbour probe) is not proven.
            found = read_pcap(dump.path, dump.interface, dump.direction) if count else iter(())
            proven = list(islice(found, count))
            if len(proven) != count:
                raise CaptureError(
                    f"{dump.path} holds {len(proven)} of {count} frames", _where_the_rest_is(dump)
                )
            # A file's order is the truth, its times are not quite: they may be the sender's.
            latest = list(accumulate((frame.time for frame in proven), max))
            timed += zip(latest, proven, strict=True)
        return [frame for _, frame in sorted(timed, key=lambda row: row[0])]

    def close(self) -> None:
        """Stop what still runs; its end is waited for when the next capture closes.

        A tcpdump takes up to 40 ms to end (an RCU grace period for its socket), which would double
        a short test's time.
        """
        for dump in self._dumps:
            dump.stop()
        reap_ending()
        _ending.extend(self._dumps)
        self._dumps.clear()


def _where_the_rest_is(dump: Tcpdump) -> str:
    """What to do about a file that is shorter than what tcpdump says it wrote."""
    free = shutil.disk_usage(dump.path.parent).free
    if free < _FULL:
        return f"{dump.path.parent} has no room left ({free} B): set TMPDIR to where there is some"
    return "tcpdump says that it wrote them: look at the disk"


_ending: list[Tcpdump] = []


def reap_ending() -> None:
    """Wait for every tcpdump that was stopped."""
    while _ending:
        _ending[-1].reap()
        _ending.pop()
