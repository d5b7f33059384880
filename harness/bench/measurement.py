# SPDX-License-Identifier: Apache-2.0
"""One measure's way through a campaign: what it has, and whether it needs more."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict

from harness.bench.arms import Arm
from harness.bench.measures import Measure
from harness.bench.rounds import take_turns
from harness.bench.series import UNCLAIMED, ArmSeries, Task, opened
from harness.bench.verdict import Criteria, Judgement, judge
from harness.plumbing.errors import TrafficError
from harness.results.comparison import AGAIN, LIMIT, Comparison
from harness.results.formulas import paired_ratios
from harness.results.part import family_name
from harness.testbed import Testbed


class Measurement:
    """How far a task is.

    Attributes:
        task: What is compared.
        builds: Of how many builds it has the turns of all arms.
        seconds: What the latest build's turns took.
        result: The comparison, once it has come to its end.
    """

    def __init__(
        self,
        task: Task,
        testbed: str,
        arms: Mapping[str, Arm],
        again: str,
        seed: str,
        criteria: Criteria,
    ) -> None:
        self.task = task
        self.builds = 0
        self.seconds = 0.0
        self.result: Comparison | None = None
        self._testbed, self._again, self._seed = testbed, again, seed
        self._criteria = criteria
        self._standing = [at for at in arms if at not in (LIMIT, again + AGAIN)]
        #: Label of an arm that the measure does not apply to → why.
        self._inapplicable = {
            at: UNCLAIMED for at in self._standing if not task.measure.applies(arms[at])
        }
        self._arms: dict[str, ArmSeries] = {}
        self._settled: dict[str, Judgement] | None = None

    @property
    def _baseline(self) -> str:
        """Known before anything is built: what came to nothing, too, goes by it in a record."""
        return next((at for at in self._standing if at not in self._inapplicable), "")

    @property
    def floor(self) -> int:
        """The fewest builds that its verdict needs."""
        return min(self._criteria.floor, self.task.measure.plan.builds)

    @property
    def cap(self) -> int:
        """The most that are made."""
        return min(self._criteria.cap, self.task.measure.plan.builds)

    def take(self, built: Mapping[str, Testbed], fresh: Mapping[str, ArmSeries], seed: str) -> None:
        """Take one build's turns, of all arms that the measure applies to, or keep none.

        Args:
            built: Label → the arm's testbed, in the order in which they are to be prepared.
            fresh: Label → what is known of the arm, without samples.
            seed: Decides the order of the rounds.

        Raises:
            HarnessError: The traffic failed.
        """
        measure = self.task.measure
        with ExitStack() as stack:
            arms = {label: series.arm for label, series in fresh.items()}
            samplers = opened(stack, self.task, built, arms, self._inapplicable, self._arms)
            turns = take_turns(samplers, measure.plan.rounds, seed)
        values = {label: [measure.value(turn) for turn in found] for label, found in turns.items()}
        for label in fresh:  # in the order in which the arms were named
            if label in turns:
                series = self._arms.setdefault(label, fresh[label])
                series.samples.append(turns[label])
                series.values.append(values[label])
                series.note(turns[label])
        self.builds += 1

    def settled(self) -> bool:
        """Whether more builds would change nothing; looks at the numbers only when a look is due.

        Raises:
            TrafficError: A value is not a positive number.
        """
        if self.builds >= self.cap or not self._arms:
            return True
        if self.builds not in dict(self._criteria.looks):
            return False
        found = self._judged(last=False)
        if all(judgement.settled for judgement in found.values()):
            self._settled = found
        return self._settled is not None

    def _judged(self, last: bool) -> dict[str, Judgement]:
        measure, criteria = self.task.measure, self._criteria
        return judged(self._arms, self._baseline, self._again, measure, criteria, last)

    def finish(self, partial: str | None, given_up: bool = False) -> Comparison:
        """End it with what it has.

        Args:
            partial: Why it did not come to its end; None: it did.
            given_up: Whether it was for want of time.
        """
        for series in self._arms.values():  # Ctrl-C may have come while a build was filed
            del series.samples[self.builds :], series.values[self.builds :]
        self._arms = {label: series for label, series in self._arms.items() if series.values}
        try:
            judgements = self._judged(last=True) if self._settled is None else self._settled
        except TrafficError as error:
            judgements, partial = {}, partial or str(error)
        self.result = self._compared(judgements, partial, given_up)
        return self.result

    def _compared(
        self, judgements: Mapping[str, Judgement], partial: str | None, given_up: bool
    ) -> Comparison:
        measure = self.task.measure
        twice = self._again + AGAIN
        return Comparison(
            measure=self.task.key, title=measure.name, described=measure.describe(),
            unit=measure.unit, better=measure.better, testbed=self._testbed,
            family=family_name(self.task.family), baseline=self._baseline, seed=self._seed,
            plan=asdict(measure.plan),
            criteria={
                **asdict(self._criteria), "looks": [list(at) for at in self._criteria.looks],
            },
            partial=partial, given_up=given_up,
            inapplicable={
                at: self._inapplicable[at] for at in self._standing if at in self._inapplicable
            },
            arms={label: each.finished(label == twice) for label, each in self._arms.items()},
            verdicts=[found.verdict(label, self._baseline) for label, found in judgements.items()],
        )  # fmt: skip


def judged(
    arms: Mapping[str, ArmSeries], baseline: str, again: str, measure: Measure, criteria: Criteria,
    last: bool,
) -> dict[str, Judgement]:  # fmt: skip
    """What follows of every arm against the baseline; nothing where there is nothing to pair.

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
