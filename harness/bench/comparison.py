# SPDX-License-Identifier: Apache-2.0
"""One comparison: two arms, and the first once more as the noise, in the same rounds. Floor 7."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median

from harness.bench.arms import Arm, BuiltArm
from harness.bench.measures import Measure
from harness.bench.rounds import Plan, Sampler, Series, collect
from harness.bench.verdict import Criteria, Judgement, judge, paired_ratios
from harness.errors import HarnessError
from harness.topology import Family

FIRST, SECOND, AGAIN = "first", "second", "again"


@dataclass(frozen=True)
class Comparison:
    """What was measured of two arms, and what follows.

    Attributes:
        measure: What was measured.
        family: The address family of the traffic.
        arms: Role → the arm: `first`, `second`, and `again`, which is the first built again.
        described: Role → node → the datapath's whole name, as built.
        facts: Role → host → sysctls and interfaces, as built.
        series: Role → raw samples in the measure's unit, [build][round][sample].
        plan: How many builds and rounds.
        seed: What decided the order.
        criteria: When a difference counts.
        judgement: The verdict.
    """

    measure: Measure
    family: Family
    arms: dict[str, Arm]
    described: dict[str, dict[str, str]]
    facts: dict[str, dict[str, object]]
    series: dict[str, Series]
    plan: Plan
    seed: str
    criteria: Criteria
    judgement: Judgement

    @property
    def beats(self) -> bool:
        """Whether the first arm is faster."""
        return self.judgement.beats

    def values(self, role: str) -> list[list[float]]:
        """The one number of every turn, [build][round]."""
        return [[self.measure.value(turn) for turn in build] for build in self.series[role]]

    def typical(self, role: str) -> float:
        """The median over all turns."""
        return median(value for build in self.values(role) for value in build)

    def __str__(self) -> str:
        first, second = self.arms[FIRST], self.arms[SECOND]
        shown = (f"{arm.datapath} {self.measure.shown(self.typical(role))}"
                 for role, arm in ((FIRST, first), (SECOND, second)))  # fmt: skip
        head = f"{self.measure.name} {first.testbed} {self.family.name} {self.measure.describe()}"
        return f"{head}: {', '.join(shown)}, {self.judgement}"

    def __repr__(self) -> str:
        return f"<{self}>"

    def names(self) -> list[str]:
        """Both arms' whole names, a line for each node."""
        return [
            f"{self.arms[role].testbed} {node}: {text}"
            for role in (FIRST, SECOND)
            for node, text in self.described[role].items()
        ]

    def to_json(self) -> dict[str, object]:
        """For a record: everything, raw samples included."""
        return {
            "measure": self.measure.name,
            "described": self.measure.describe(),
            "unit": self.measure.unit,
            "better": self.measure.better,
            "family": self.family.name,
            "seed": self.seed,
            "plan": asdict(self.plan),
            "criteria": asdict(self.criteria),
            "judgement": asdict(self.judgement),
            "arms": {
                role: {
                    **arm.to_json(),
                    "nodes": self.described[role],
                    "hosts": self.facts[role],
                    "samples": self.series[role],
                }
                for role, arm in self.arms.items()
            },
        }


class _Builder:
    """Builds arms by role, and holds them to the name they had at first."""

    def __init__(self, measure: Measure, family: Family, arms: dict[str, Arm]) -> None:
        self._measure, self._family, self._arms = measure, family, arms
        self.described: dict[str, dict[str, str]] = {}
        self.facts: dict[str, dict[str, object]] = {}

    @contextmanager
    def opened(self, role: str) -> Iterator[Sampler]:
        with BuiltArm(self._arms[role]) as built:
            name = built.describe()
            if self.described.setdefault(role, name) != name:
                raise HarnessError(
                    f"arm {role} was built as {self.described[role]}, and then as {name}",
                    "leave bpf/ and the rules alone while it measures",
                )
            if role not in self.facts:
                self.facts[role] = built.facts()
            with self._measure.opened(built, self._family) as sampler:
                yield sampler


def compare(
    measure: Measure,
    family: Family,
    first: Arm,
    second: Arm,
    seed: int,
    plan: Plan | None = None,
    criteria: Criteria | None = None,
) -> Comparison:
    """Measure two arms in interleaved rounds and conclude.

    Args:
        measure: What to measure.
        family: The address family of the traffic.
        first: The arm the verdict is about; it is measured against itself for the noise floor.
        second: What it is compared with.
        seed: Of the run; together with what is compared it decides every order.
        plan: How much; the measure's own by default.
        criteria: When a difference counts.

    Raises:
        HarnessError: An arm cannot be built, or its traffic failed: no verdict on half a series.
    """
    plan, criteria = plan or measure.plan, criteria or Criteria()
    arms = {FIRST: first, SECOND: second, AGAIN: first}
    builder = _Builder(measure, family, arms)
    text = f"{seed} {measure.name} {measure.describe()} {first.testbed} {family.name}"
    series = collect(list(arms), builder.opened, plan, text)
    values = {
        role: [[measure.value(turn) for turn in build] for build in builds]
        for role, builds in series.items()
    }
    judgement = judge(
        paired_ratios(values[FIRST], values[SECOND]),
        paired_ratios(values[FIRST], values[AGAIN]),
        measure.better,
        criteria,
    )
    return Comparison(
        measure, family, arms, builder.described, builder.facts, series, plan, text, criteria,
        judgement,
    )  # fmt: skip
