# SPDX-License-Identifier: Apache-2.0
"""Measure: the round trip between two processes on two CPUs, wake-ups included."""

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
from harness.traffic.cpus import two_cpus
from harness.traffic.process_flow import ProcessFlow

_WARM_FLOW = 50


@dataclass(frozen=True)
class RoundTripAcrossCpus(Usual):
    """From one pod to the other and back, between two processes that sleep until a packet comes.

    As applications see it. The wake-ups are the larger part, are the same for all arms, and come
    in two kinds on an idle machine (from a shallow and from a deep sleep of the CPU): look at the
    percentiles beside the median.

    Attributes:
        size: Payload of request and of reply, bytes.
        trips: Round trips in a turn.
    """

    size: int = 1
    trips: int = 100
    name: ClassVar[str] = "round trip across CPUs"
    unit: ClassVar[str] = "ns"
    better: ClassVar[Better] = "lower"
    plan: ClassVar[Plan] = Plan(builds=28, rounds=3)

    def describe(self) -> str:
        """Protocol, payload and how it is done."""
        return f"UDP {self.size} B, client and server asleep on a CPU each, {self.trips} a turn"

    @contextmanager
    def opened(self, testbed: Testbed, family: Family) -> Iterator[Sampler]:
        """Connect, and warm up; a turn is `trips` samples."""
        with ProcessFlow(*testbed.ends(family), two_cpus(), self.size) as flow:
            flow.burst(_WARM_FLOW)
            yield lambda: Turn(flow.burst(self.trips).durations)
