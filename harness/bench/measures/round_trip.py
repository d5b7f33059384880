# SPDX-License-Identifier: Apache-2.0
"""Measure: the inline round trip."""

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
from harness.traffic.cpus import held, one_cpu
from harness.traffic.inline import InlineFlow, Protocol

_WARM_FLOW = 300  # past TCP's quick acknowledgements, and with every table and cache filled
_WARM_TURN = 10  # the caches again, after the other arms' turns


@dataclass(frozen=True)
class RoundTrip(Usual):
    """From one pod to the other and back, on one pinned CPU, no wake-up in the number.

    What is timed: four system calls, the interpreter's loop around them, and the path twice. The
    first two are the same for all arms, so a ratio is nearer to 1 than that of the paths alone.

    Attributes:
        protocol: What carries the payload.
        size: Payload of request and of reply, bytes.
        trips: Round trips in a turn.
    """

    protocol: Protocol
    size: int
    trips: int = 100
    name: ClassVar[str] = "round trip"
    unit: ClassVar[str] = "ns"
    better: ClassVar[Better] = "lower"
    plan: ClassVar[Plan] = Plan(builds=28, rounds=8)

    def describe(self) -> str:
        """Protocol, payload and how it is done."""
        protocol = "TCP Reno, no delay," if self.protocol == "tcp" else "UDP"
        return f"{protocol} {self.size} B, inline on one CPU, {self.trips} a turn"

    @contextmanager
    def opened(self, testbed: Testbed, family: Family) -> Iterator[Sampler]:
        """Connect, and warm up; a turn is `trips` samples."""
        cpu = one_cpu()
        with InlineFlow(*testbed.ends(family), self.protocol, self.size) as flow:

            def turn() -> Turn:
                with held(cpu):
                    flow.burst(_WARM_TURN)
                    return Turn(flow.burst(self.trips))

            with held(cpu):
                flow.burst(_WARM_FLOW)
            yield turn
