# SPDX-License-Identifier: Apache-2.0
"""Measure: what iperf3's streams carry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from harness.bench.measures.samples import Sampler, Turn, Usual
from harness.bench.rounds import Plan
from harness.results.part import Better
from harness.testbed import Testbed
from harness.topology import Family
from harness.traffic.cpus import one_cpu
from harness.traffic.iperf import Iperf, Stream


@dataclass(frozen=True)
class Throughput(Usual):
    """TCP streams from the client's pod to the server's, all processes on one CPU.

    One CPU, because then its time is what bounds the streams, and the path's share of it shows. On
    two, a stream within one machine is bound by how fast one CPU's cache gets what the other wrote;
    `cpu-per-gib` is measured so.

    The window is what TCP has without scaling. It does not bound a path whose round trip takes
    microseconds, and keeps the receive queue within the CPU's cache: left to the kernel, the queue
    grows out of it in some turns and not in others, whichever the arm.

    Nothing paces: see `harness.traffic.iperf`. Segmentation offload is on, as on any node, so the
    path is taken by packets of up to 64 KiB, and its cost is a smaller share than of small ones.

    A turn's value is the median over iperf3's own intervals, which a process that takes the CPU for
    a while does not move. The mean of the whole turn, as the receiver counted it, is beside it, and
    how many intervals stood still.

    Attributes:
        streams: How many connections.
        reverse: The server sends.
        size: Bytes in a turn, all streams together.
        window: Socket buffers of both ends, bytes.
    """

    streams: int = 1
    reverse: bool = False
    size: int = 32 << 20
    window: int = 64 << 10
    name: ClassVar[str] = "throughput"
    unit: ClassVar[str] = "bit/s"
    better: ClassVar[Better] = "higher"
    plan: ClassVar[Plan] = Plan(builds=28, rounds=4)

    def describe(self) -> str:
        """Protocol, streams, window and how it is done."""
        streams = "1 stream" if self.streams == 1 else f"{self.streams} streams"
        return (
            f"iperf3, TCP Reno, {streams}{' reverse' if self.reverse else ''},"
            f" window {self.window >> 10} KiB, both ends on one CPU, median of intervals of 1 ms,"
            f" {self.size >> 20} MiB a turn"
        )

    @contextmanager
    def opened(self, testbed: Testbed, family: Family) -> Iterator[Sampler]:
        """Start the server; a turn is one test, each interval a sample."""
        cpu = one_cpu()
        spec = Stream(
            size=self.size, streams=self.streams, reverse=self.reverse,
            window=self.window, cpus=(cpu, cpu),
        )  # fmt: skip
        with Iperf(*testbed.ends(family), spec) as iperf:

            def turn() -> Turn:
                found = iperf.run()
                extra = {
                    "mean_bits_per_second": found.bits_per_second,
                    "stalled_intervals": found.stalled,
                    "retransmits": found.retransmits,
                }
                return Turn(map(round, found.rates), extra)

            yield turn
