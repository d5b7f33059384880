# SPDX-License-Identifier: Apache-2.0
"""Measure: the round trip while a stream takes the same path."""

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
from harness.traffic.bulk import loaded
from harness.traffic.cpus import one_cpu
from harness.traffic.process_flow import ProcessFlow

_MOST_BURSTS = 20


@dataclass(frozen=True)
class RoundTripLoaded(Usual):
    """From one pod to the other and back, between two processes, while a stream has the same CPU.

    All four processes are on one CPU, so that a request waits for whatever of the stream is on its
    way through the path: look at the percentiles beside the median. The stream is paced to a
    fixed rate, so that every arm bears the same load: were it left to run as fast as it can, the
    faster path would be measured under the heavier load.

    Attributes:
        rate: Of the stream, bit/s.
        size: Payload of request and of reply, bytes.
        trips: Round trips in a turn, at the least.
    """

    rate: int = 2_000_000_000
    size: int = 1
    trips: int = 500
    name: ClassVar[str] = "round trip under load"
    unit: ClassVar[str] = "ns"
    better: ClassVar[Better] = "lower"
    plan: ClassVar[Plan] = Plan(builds=28, rounds=3)

    def describe(self) -> str:
        """Protocol, payload, load and how it is done."""
        return (
            f"UDP {self.size} B, client and server asleep in turn on one CPU, which a TCP Reno"
            f" stream paced to {self.rate / 1e9:g} Gbit/s shares, {self.trips} a turn"
        )

    @contextmanager
    def opened(self, testbed: Testbed, family: Family) -> Iterator[Sampler]:
        """Connect; a turn is `trips` samples, the stream flows within it only."""
        cpus = (one_cpu(), one_cpu())
        with ProcessFlow(*testbed.ends(family), cpus, self.size) as flow:

            def turn() -> Turn:
                with loaded(*testbed.ends(family), cpus, self.rate) as load:
                    found = flow.burst(self.trips).durations
                    # On a busy machine the stream may not have had its turn of the CPU yet.
                    while not load.moved and len(found) < _MOST_BURSTS * self.trips:
                        found += flow.burst(self.trips).durations
                return Turn(found, {"load_bits_per_second": load.bits_per_second})

            yield turn
