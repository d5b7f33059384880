# SPDX-License-Identifier: Apache-2.0
"""What can be measured, one file each, registered here. Floor 7."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from harness.bench.arms import BuiltArm
from harness.bench.measures.round_trip import RoundTrip
from harness.bench.measures.throughput import Throughput
from harness.bench.rounds import Plan, Sampler
from harness.bench.verdict import Better
from harness.topology import Family


class Measure(Protocol):
    """A way to get numbers out of a built arm."""

    @property
    def name(self) -> str:
        """What it is called in reports."""
        ...

    @property
    def unit(self) -> str:
        """The unit of every raw sample."""
        ...

    @property
    def better(self) -> Better:
        """Whether lower or higher values are better."""
        ...

    @property
    def plan(self) -> Plan:
        """How much of it is enough for a verdict on a quiet machine."""
        ...

    def describe(self) -> str:
        """Protocol, size and whatever else it was done with, in words."""
        ...

    def opened(self, arm: BuiltArm, family: Family) -> AbstractContextManager[Sampler]:
        """Prepare the traffic; each call of the sampler is one turn."""
        ...

    def value(self, samples: list[float]) -> float:
        """The one number of a turn, in `unit`."""
        ...

    def shown(self, value: float) -> str:
        """A value for people, with its unit."""
        ...


MEASURES: dict[str, Measure] = {
    "round-trip-udp": RoundTrip("udp"),
    "round-trip-tcp": RoundTrip("tcp"),
    "throughput-tcp": Throughput(),
}
