# SPDX-License-Identifier: Apache-2.0
"""What is to be compared, and what was measured of each arm of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from harness.bench.arms import Arm
from harness.bench.measures import Measure
from harness.bench.rounds import Series, Turns
from harness.topology import Family

#: Fewer samples than this, and their 99.9th percentile is one outlier's.
_MANY = 1000
_PERCENTILES = (50, 90, 99, 99.9)


@dataclass(frozen=True)
class Task:
    """What is to be compared: a measure in one address family.

    Attributes:
        key: The measure's key in `harness.bench.MEASURES`.
        measure: The measure.
        family: The address family of the traffic.
    """

    key: str
    measure: Measure
    family: Family

    def __str__(self) -> str:
        return f"{self.measure.name} {self.measure.describe()} {self.family.name}"


@dataclass
class ArmSeries:
    """One arm's share of a comparison.

    Attributes:
        arm: What was asked for.
        nodes: Node → the datapath's whole name, as built.
        hosts: Host → sysctls and interfaces, as built.
        samples: Raw, in the measure's unit, [build][round][sample].
        values: The one number of every turn, [build][round].
        extra: Side figures of the measure, by name; one for each turn.
    """

    arm: Arm
    nodes: dict[str, str]
    hosts: dict[str, object]
    samples: Series = field(default_factory=list)
    values: list[list[float]] = field(default_factory=list)
    extra: dict[str, list[float]] = field(default_factory=dict)

    @property
    def typical(self) -> float:
        """The median over all turns."""
        return median(value for build in self.values for value in build)

    @property
    def flat(self) -> list[float]:
        """Every sample, in the order in which they were taken."""
        return [sample for build in self.samples for turn in build for sample in turn]

    def note(self, turns: Turns) -> None:
        """Keep the side figures that a build's turns carry."""
        for turn in turns:
            for name, value in getattr(turn, "extra", {}).items():
                self.extra.setdefault(name, []).append(value)

    def percentiles(self) -> dict[str, float]:
        """p50, p90, p99 and p99.9 over all samples; nothing if they are few."""
        import numpy

        samples = self.flat
        if len(samples) < _MANY:
            return {}
        found = numpy.percentile(samples, _PERCENTILES)
        return {f"p{at}": float(value) for at, value in zip(_PERCENTILES, found, strict=True)}
