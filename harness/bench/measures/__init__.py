# SPDX-License-Identifier: Apache-2.0
"""What can be measured, one file each, registered here."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from harness.bench.arms import Arm
from harness.bench.measures.across_cpus import RoundTripAcrossCpus
from harness.bench.measures.connection_rate import ConnectionRate
from harness.bench.measures.cpu_cost import CpuPerGib, CpuPerThousandTrips
from harness.bench.measures.packet_rate import PacketRate
from harness.bench.measures.program_cost import ProgramCost
from harness.bench.measures.program_run_time import ProgramRunTime
from harness.bench.measures.round_trip import RoundTrip
from harness.bench.measures.samples import Sampler, Turn
from harness.bench.measures.throughput import Throughput
from harness.bench.measures.under_load import RoundTripLoaded
from harness.bench.rounds import Plan
from harness.plumbing.registry import Registry
from harness.results.part import Better
from harness.testbed import Testbed
from harness.topology import Family

__all__ = ["MEASURES", "Measure", "Turn"]


@runtime_checkable
class Measure(Protocol):
    """A way to get numbers out of a built arm.

    Several arms are open at once and take turns, so what is opened must be idle between its turns;
    a turn is a fraction of a second. A measure with a thousand samples or more over a run (each a
    single event, not a mean) has percentiles that mean something.
    """

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
        """The most builds that are worth making, and how many turns of each give a steady value."""
        ...

    def describe(self) -> str:
        """All it was done with: protocol, sizes, streams, window, CPUs, and what a turn is.

        Figures that were described alike can be compared.
        """
        ...

    def applies(self, arm: Arm) -> bool:
        """Whether it means anything for that arm, by what the arm claims, before it is built.

        What a built arm turns out to lack is told by `opened`.
        """
        ...

    def opened(self, testbed: Testbed, family: Family) -> AbstractContextManager[Sampler]:
        """Prepare the traffic; each call of the sampler is one turn.

        Raises:
            InapplicableError: It means nothing for this arm, and why: the arm is left out of the
                comparison, and nothing failed.
            HarnessError: The traffic failed, now or in a turn. Nothing it started is left then.
        """
        ...

    def value(self, samples: list[float]) -> float:
        """The one number of a turn, in `unit`."""
        ...


#: Key → measure. Packages register theirs: see `harness.plumbing.registry`.
MEASURES: Registry[Measure] = Registry(
    "measure",
    Measure,
    {
        "round-trip-udp-1": RoundTrip("udp", 1),
        "round-trip-udp-1024": RoundTrip("udp", 1024),
        "round-trip-tcp-1": RoundTrip("tcp", 1),
        "round-trip-tcp-1024": RoundTrip("tcp", 1024),
        "round-trip-across-cpus": RoundTripAcrossCpus(),
        "round-trip-loaded": RoundTripLoaded(),
        "throughput-tcp-1": Throughput(),
        "throughput-tcp-4": Throughput(streams=4),
        "throughput-tcp-1-reverse": Throughput(reverse=True),
        "throughput-tcp-4-reverse": Throughput(streams=4, reverse=True),
        "packets-udp": PacketRate(),
        "connections": ConnectionRate(),
        "cpu-per-gib": CpuPerGib(),
        "cpu-per-1000-trips": CpuPerThousandTrips(),
        "program-cost": ProgramCost(),
        "program-run-time": ProgramRunTime(),
    },
)
