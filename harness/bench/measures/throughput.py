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

    The window is fixed. Left to the kernel, it grows until the receive queue no longer fits the
    CPU's second-level cache in some runs and not in others, and the same arm then carries 15 or
    45 Gbit/s: what is measured is the cache, not the path.

    Attributes:
        seconds: How long a stream lasts.
        congestion: TCP's congestion control.
        window: Socket buffers of both ends, bytes.
    """

    seconds: int = 1
    congestion: str = "cubic"
    window: int = 128 << 10
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
