# SPDX-License-Identifier: Apache-2.0
"""Measure: what one iperf3 stream carries. Floor 7."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import ClassVar

from harness.bench.arms import BuiltArm
from harness.bench.rounds import Plan, Sampler
from harness.bench.verdict import Better
from harness.topology import Family
from harness.traffic.iperf import Stream, run_stream


@dataclass(frozen=True)
class Throughput:
    """A TCP stream from the client's pod to the server's, each end pinned to a CPU of its own.

    The window is fixed, at what TCP has without scaling. Left to the kernel, the same arm carries
    15 Gbit/s in one run and 45 in the next, whichever arm it is, as the receive queue grows out
    of the CPU's cache or not (measured: 128 KiB and more do so, 64 KiB stays within 2 %). So this
    is not the most a stream can carry; it compares paths, not caches.

    Attributes:
        seconds: How long a stream lasts.
        congestion: TCP's congestion control.
        window: Socket buffers of both ends, bytes.
    """

    seconds: int = 1
    congestion: str = "cubic"
    window: int = 64 << 10
    name: ClassVar[str] = "throughput"
    unit: ClassVar[str] = "bit/s"
    better: ClassVar[Better] = "higher"
    #: Six is the least for which the rank test can speak at all: 2 / 2^6 is under 0.05.
    plan: ClassVar[Plan] = Plan(builds=6, rounds=1)

    def describe(self) -> str:
        """Protocol, congestion control, window and duration."""
        return f"TCP {self.congestion} 1 stream {self.seconds} s, window {self.window >> 10} KiB"

    @contextmanager
    def opened(self, arm: BuiltArm, family: Family) -> Iterator[Sampler]:
        """Nothing to prepare; a turn is one stream, one sample."""
        allowed = sorted(os.sched_getaffinity(0))
        spec = Stream(
            seconds=self.seconds, congestion=self.congestion, window=self.window,
            cpus=(allowed[-1], allowed[0]),
        )  # fmt: skip
        ends = (arm.client.ns, arm.server.ns, family, arm.addresses(family))
        yield lambda: [run_stream(*ends, spec).bits_per_second]

    def value(self, samples: list[float]) -> float:
        """A turn's only sample."""
        return median(samples)

    def shown(self, value: float) -> str:
        """In gigabits per second."""
        return f"{value / 1e9:.1f} Gbit/s"
