# SPDX-License-Identifier: Apache-2.0
"""Measures: CPU time for a stream's GiB, and for a thousand round trips.

Both count the time that the two processes which send and receive are on a CPU, by perf's task
clock: system calls, the softirqs that carry their packets through the path and run on their backs,
and their own few instructions in user space, which are the same for all arms. Other processes,
idle time and waiting are not in it, so it holds on a busy machine. /proc/stat would count
everybody's, in steps of 10 ms.
"""

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
from harness.traffic.bulk import BulkFlow
from harness.traffic.cpus import one_cpu, two_cpus
from harness.traffic.process_flow import ProcessFlow

_WARM_BYTES = 4 << 20
_WARM_TRIPS = 50


@dataclass(frozen=True)
class CpuPerGib(Usual):
    """CPU time of sender and receiver for a GiB of a TCP stream, each on a CPU of its own.

    Attributes:
        size: Bytes in a turn.
        window: Socket buffers of both ends, bytes.
    """

    size: int = 32 << 20
    window: int = 256 << 10
    name: ClassVar[str] = "CPU per GiB"
    unit: ClassVar[str] = "s/GiB"
    better: ClassVar[Better] = "lower"
    plan: ClassVar[Plan] = Plan(builds=28, rounds=3)

    def describe(self) -> str:
        """Protocol, window and how it is done."""
        return (
            f"TCP Reno, 1 stream, window {self.window >> 10} KiB, sender and receiver"
            f" on a CPU each, {self.size >> 20} MiB a turn; system, softirq and user time of both"
        )

    @contextmanager
    def opened(self, testbed: Testbed, family: Family) -> Iterator[Sampler]:
        """Connect, and warm up; a turn is one transfer, one sample."""
        with BulkFlow(*testbed.ends(family), two_cpus(), self.window) as flow:
            flow.move(_WARM_BYTES)

            def turn() -> Turn:
                moved = flow.move(self.size)
                extra = {
                    "bits_per_second": 8 * moved.size / moved.seconds,
                    "user_percent": 100 * moved.user / moved.cpu,
                }
                return Turn([moved.cpu / 1e9 / (moved.size / 2**30)], extra)

            yield turn


@dataclass(frozen=True)
class CpuPerThousandTrips(Usual):
    """CPU time of client and server for a thousand round trips, both on one CPU.

    They sleep and wake each other as on two. But to wake a CPU that is idle takes an interrupt,
    which in a virtual machine costs more than all the rest, and is nobody's path.

    Attributes:
        size: Payload of request and of reply, bytes.
        trips: Round trips in a turn.
    """

    size: int = 1
    trips: int = 500
    name: ClassVar[str] = "CPU per 1000 round trips"
    unit: ClassVar[str] = "s/1000"
    better: ClassVar[Better] = "lower"
    plan: ClassVar[Plan] = Plan(builds=28, rounds=3)

    def describe(self) -> str:
        """Protocol, payload and how it is done."""
        return (
            f"UDP {self.size} B, client and server asleep in turn on one CPU, {self.trips} a turn;"
            " system, softirq and user time of both"
        )

    @contextmanager
    def opened(self, testbed: Testbed, family: Family) -> Iterator[Sampler]:
        """Connect, and warm up; a turn is `trips` round trips, one sample."""
        cpu = one_cpu()
        with ProcessFlow(*testbed.ends(family), (cpu, cpu), self.size) as flow:
            flow.burst(_WARM_TRIPS)

            def turn() -> Turn:
                found = flow.burst(self.trips, cpu_time=True)
                extra = {"user_percent": 100 * found.user / max(found.cpu, 1)}
                return Turn([found.cpu / 1e9 / self.trips * 1000], extra)

            yield turn
