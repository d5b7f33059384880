# SPDX-License-Identifier: Apache-2.0
"""One comparison: what one measure found of two or more arms, and what follows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import median

from harness.bench.arms import AGAIN, LIMIT
from harness.bench.measures import Measure
from harness.bench.rounds import Plan
from harness.bench.series import ArmSeries, Task
from harness.bench.verdict import Criteria, Judgement, Verdict, judge, paired_ratios


@dataclass(frozen=True)
class Comparison:
    """What was measured of several arms, and what follows.

    Attributes:
        task: What was compared.
        testbed: Where.
        arms: Label → what was measured of it. The limit, and the arm that is there twice, have no
            verdict.
        baseline: Label of the arm that the others are compared with; not in `arms` if nothing was
            measured.
        again: Label of the arm that was measured twice: the noise.
        plan: How many builds and rounds at the most.
        seed: What decided every order.
        criteria: When a difference counts.
        partial: Why it did not come to its end; None: it did.
        judgements: Label → the verdict on that arm against the baseline.
    """

    task: Task
    testbed: str
    arms: Mapping[str, ArmSeries]
    baseline: str
    again: str
    plan: Plan
    seed: str
    criteria: Criteria
    partial: str | None
    judgements: Mapping[str, Judgement]

    @property
    def measure(self) -> Measure:
        """What was measured."""
        return self.task.measure

    @property
    def name(self) -> str:
        """What was compared, whole."""
        measure, family = self.measure, self.task.family.name
        return f"{measure.name} {self.testbed} {family} {measure.describe()}"

    @property
    def labels(self) -> list[str]:
        """The arms that stand for themselves: all but the noise's."""
        return [label for label in self.arms if label != self.again + AGAIN]

    def beats(self, arm: str, against: str) -> bool:
        """Whether it came to its end, one of the two is the baseline, and `arm` is faster."""
        if self.partial is not None or self.baseline not in (arm, against):
            return False
        other, faster = (
            (arm, Verdict.FASTER) if against == self.baseline else (against, Verdict.SLOWER)
        )
        judgement = self.judgements.get(other)
        return judgement is not None and judgement.verdict is faster

    def share(self, label: str) -> float | None:
        """How near the arm comes to the limit: 1 is as good; None: no limit was measured."""
        if LIMIT not in self.arms or not self.arms[LIMIT].values:
            return None
        best, found = self.arms[LIMIT].values, self.arms[label].values
        ratio = median(paired_ratios(found[: len(best)], best))
        return 1 / ratio if self.measure.better == "lower" else ratio

    def __str__(self) -> str:
        shown = ", ".join(
            f"{label} {self.measure.shown(self.arms[label].typical)}" for label in self.labels
        )
        parts = [f"{self.name}: {shown}"]
        several = len(self.judgements) > 1
        for label, judgement in self.judgements.items():
            head = f"{label} against {self.baseline}: " if several else ""
            # Of what broke off nothing is concluded.
            parts.append(f"{head}{judgement if self.partial is None else judgement.figures}")
        if self.partial is not None:
            parts.append(f"partial: {self.partial}")
        return "; ".join(parts)

    def __repr__(self) -> str:
        return f"<{self}>"

    def to_json(self) -> dict[str, object]:
        """For a record: everything, raw samples included."""
        measure = self.measure
        return {
            "measure": self.task.key,
            "title": measure.name,
            "described": measure.describe(),
            "unit": measure.unit,
            "better": measure.better,
            "testbed": self.testbed,
            "family": self.task.family.name,
            "baseline": self.baseline,
            "seed": self.seed,
            "plan": asdict(self.plan),
            "criteria": {
                **asdict(self.criteria),
                "looks": [list(at) for at in self.criteria.looks],
            },
            "partial": self.partial,
            "arms": {label: self._arm_json(label) for label in self.arms},
            "verdicts": [
                {"arm": label, "against": self.baseline, **verdict_json(judgement)}
                for label, judgement in self.judgements.items()
            ],
        }

    def _arm_json(self, label: str) -> dict[str, object]:
        series = self.arms[label]
        return {
            **series.arm.to_json(),
            "again": label == self.again + AGAIN,
            "nodes": series.nodes,
            "hosts": series.hosts,
            "samples": series.samples,
            "values": series.values,
            "percentiles": series.percentiles(),
            "extra": series.extra,
        }


def verdict_json(judgement: Judgement) -> dict[str, object]:
    """A judgement for a record; what is without end is null there."""
    bounded = math.isfinite(judgement.high)
    return {
        "verdict": str(judgement.verdict),
        "ratio": judgement.ratio,
        "low": judgement.low if bounded else None,
        "high": judgement.high if bounded else None,
        "p_value": judgement.p_value,
        "noise": judgement.noise if math.isfinite(judgement.noise) else None,
        "builds": judgement.builds,
        "warnings": list(judgement.warnings),
    }


def judged(
    arms: Mapping[str, ArmSeries],
    baseline: str,
    again: str,
    measure: Measure,
    criteria: Criteria,
    last: bool,
) -> dict[str, Judgement]:
    """The verdict on every arm against the baseline; none where there is nothing to pair.

    Args:
        arms: What was measured.
        baseline: Label of the arm that the others are compared with.
        again: Label of the arm that was measured twice.
        measure: What with.
        criteria: When a difference counts.
        last: Whether no look follows: see `Criteria.level`.

    Raises:
        TrafficError: A value is not a positive number.
    """
    if again not in arms or again + AGAIN not in arms or not arms[again].values:
        return {}
    noise = paired_ratios(arms[again + AGAIN].values, arms[again].values)
    others = [label for label in arms if label not in (baseline, LIMIT, again + AGAIN)]
    found = {label: paired_ratios(arms[label].values, arms[baseline].values) for label in others}
    return {
        label: judge(ratios, noise, measure.better, criteria, last)
        for label, ratios in found.items()
    }
