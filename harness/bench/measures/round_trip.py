# SPDX-License-Identifier: Apache-2.0
"""Measure: the inline round trip. Floor 7."""

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
from harness.traffic.fence import pinned
from harness.traffic.inline import InlineFlow, Protocol

_WARM_FLOW = 300  # past TCP's quick acknowledgements, and with every table and cache filled
_WARM_TURN = 10  # the caches again, after the other arms' turns


@dataclass(frozen=True)
class RoundTrip:
    """From one pod to the other and back, on one pinned CPU, no wake-up in the number.

    What is timed: four system calls, the interpreter's loop around them, and the path twice. The
    first two are the same for all arms, so a ratio is nearer to 1 than that of the paths alone.

    Attributes:
        protocol: What carries the payload.
        size: Payload of request and of reply, bytes.
        trips: Round trips in a turn.
    """

    protocol: Protocol
    size: int = 64
    trips: int = 100
    name: ClassVar[str] = "round trip"
    unit: ClassVar[str] = "ns"
    better: ClassVar[Better] = "lower"
    plan: ClassVar[Plan] = Plan(builds=12, rounds=8)

    def describe(self) -> str:
        """Protocol and payload."""
        control = " Reno" if self.protocol == "tcp" else ""
        return f"{self.protocol.upper()}{control} {self.size} B"

    @contextmanager
    def opened(self, arm: BuiltArm, family: Family) -> Iterator[Sampler]:
        """Connect, and warm up; a turn is `trips` samples."""
        cpu = max(os.sched_getaffinity(0))  # the first takes most interrupts
        ends = (arm.client.ns, arm.server.ns, family, arm.addresses(family))
        with InlineFlow(*ends, self.protocol, self.size) as flow:

            def turn() -> list[float]:
                with pinned(cpu):
                    flow.burst(_WARM_TURN)
                    return list[float](flow.burst(self.trips))

            with pinned(cpu):
                flow.burst(_WARM_FLOW)
            yield turn

    def value(self, samples: list[float]) -> float:
        """The median: one preemption in a turn does not move it."""
        return median(samples)

    def shown(self, value: float) -> str:
        """In microseconds."""
        return f"{value / 1000:.2f} us"
