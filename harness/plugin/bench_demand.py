# SPDX-License-Identifier: Apache-2.0
"""What the selected tests want measured, and the measuring of it, once."""

from __future__ import annotations

from dataclasses import dataclass

from harness import datapath as datapaths
from harness.bench import (
    AXES,
    MEASURES,
    Arm,
    Budget,
    Campaign,
    Curves,
    Session,
    Task,
)
from harness.datapath import NodeSettings
from harness.plugin.bench_progress import Show
from harness.results import Comparison, Growth
from harness.results.part import family_name
from harness.topology import TESTBEDS, Family

#: What a set of curves is given of the budget, where a testbed's campaign is given 1.
_CURVES_SHARE = 0.3


@dataclass(frozen=True)
class CurveRequest:
    """A curve that a test asks for.

    Attributes:
        testbed: Where.
        over: `pods` or `services`.
        every: With the points that take long to build.
    """

    testbed: str
    over: str
    every: bool = False

    def __str__(self) -> str:
        return f"{self.testbed} over {self.over}{', every point' if self.every else ''}"


class Demand:
    """What the selected tests want measured.

    Attributes:
        session: Where what was measured goes.
    """

    def __init__(
        self,
        session: Session,
        arms: list[str],
        settings: NodeSettings,
        seconds: float,
    ) -> None:
        """Prepare.

        Args:
            session: Where what was measured goes.
            arms: The datapaths, the baseline first.
            settings: Of every node.
            seconds: For all measuring.
        """
        self.session = session
        self.show: Show | None = None
        self._arms, self._settings, self._seconds = arms, settings, seconds
        self._wanted: dict[str, list[Task]] = {}
        self._curves: dict[CurveRequest, list[Task]] = {}
        self._found: dict[tuple[str, str, str], Comparison] = {}
        self._drawn: dict[tuple[CurveRequest, str, str], Growth] = {}
        self._budget: Budget | None = None

    def want(self, testbed: str, key: str, family: Family) -> None:
        """A selected test will ask for this comparison."""
        wanted, task = self._wanted.setdefault(testbed, []), Task(key, MEASURES[key], family)
        if task not in wanted:
            wanted.append(task)

    def want_curve(self, curve: CurveRequest, key: str, family: Family) -> None:
        """A selected test will ask for this curve."""
        wanted, task = self._curves.setdefault(curve, []), Task(key, MEASURES[key], family)
        if task not in wanted:
            wanted.append(task)

    def comparison(self, testbed: str, key: str, family: Family) -> Comparison:
        """A comparison; the first of a testbed that is asked for takes the whole campaign."""
        wanted = (testbed, key, family_name(family))
        if wanted not in self._found:
            self._campaign(testbed)
        return self._found[wanted]

    def growth(self, curve: CurveRequest, key: str, family: Family) -> Growth:
        """A curve; the first over its axis that is asked for draws them all."""
        wanted = (curve, key, family_name(family))
        if wanted not in self._drawn:
            self._draw(curve)
        return self._drawn[wanted]

    def arms_of(self, testbed: str) -> dict[str, Arm]:
        """The datapaths to compare on a testbed, the baseline first."""
        topology = TESTBEDS.find(testbed).topology
        return {name: Arm(name, testbed, topology, self._settings) for name in self._arms}

    def _again(self) -> str:
        """What is measured twice: the last arm that every measure applies to."""
        bypassing = [name for name in self._arms if datapaths.find(name).claims.bypasses_stack]
        return (bypassing or self._arms)[-1]

    def _shares(self) -> Budget:
        if self._budget is None:
            shares = dict.fromkeys(self._wanted, 1.0)
            # What takes minutes was asked for by name, and is given them.
            shares |= {str(c): _CURVES_SHARE for c in self._curves if not c.every}
            self._budget = Budget(self._seconds, shares)
        return self._budget

    def _campaign(self, testbed: str) -> None:
        campaign = Campaign(
            testbed, self.arms_of(testbed), self._wanted[testbed], self.session.seed,
            again=self._again(), watcher=self.show,
        )  # fmt: skip
        try:
            with self._shares().share(testbed) as seconds:
                campaign.run(seconds)
        finally:
            self.session.comparisons += campaign.comparisons
            self._found |= {
                (testbed, found.measure, found.family): found for found in campaign.comparisons
            }

    def _draw(self, curve: CurveRequest) -> None:
        axis = AXES[curve.over]
        curves = Curves(
            curve.testbed, self.arms_of(curve.testbed), axis, self._curves[curve],
            self.session.seed, points=axis.all_points if curve.every else axis.points,
            watcher=self.show,
        )  # fmt: skip
        try:
            if curve.every:
                curves.run()
            else:
                with self._shares().share(str(curve)) as seconds:
                    curves.run(seconds)
        finally:
            self.session.growths += curves.growths
            self._drawn |= {(curve, found.measure, found.family): found for found in curves.growths}
