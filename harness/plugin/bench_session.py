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
    Comparison,
    Curves,
    Growth,
    Run,
    Task,
)
from harness.datapath import NodeSettings
from harness.plugin.bench_progress import Show
from harness.topology import TESTBEDS, Family

#: What a set of curves is given of the budget, where a testbed's campaign is given 1.
_CURVES_SHARE = 0.3


@dataclass(frozen=True)
class Curve:
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


class BenchSession:
    """The run's measuring.

    Attributes:
        run: Where what was measured goes.
    """

    def __init__(
        self,
        run: Run,
        arms: list[str],
        settings: NodeSettings,
        seconds: float,
    ) -> None:
        """Prepare.

        Args:
            run: Where what was measured goes.
            arms: The datapaths, the baseline first.
            settings: Of every node.
            seconds: For all measuring.
        """
        self.run = run
        self.show: Show | None = None
        self._arms, self._settings, self._seconds = arms, settings, seconds
        self._wanted: dict[str, list[Task]] = {}
        self._curves: dict[Curve, list[Task]] = {}
        self._found: dict[tuple[str, Task], Comparison] = {}
        self._drawn: dict[tuple[Curve, Task], Growth] = {}
        self._budget: Budget | None = None

    def want(self, testbed: str, key: str, family: Family) -> None:
        """A selected test will ask for this comparison."""
        wanted, task = self._wanted.setdefault(testbed, []), Task(key, MEASURES[key], family)
        if task not in wanted:
            wanted.append(task)

    def want_curve(self, curve: Curve, key: str, family: Family) -> None:
        """A selected test will ask for this curve."""
        wanted, task = self._curves.setdefault(curve, []), Task(key, MEASURES[key], family)
        if task not in wanted:
            wanted.append(task)

    def comparison(self, testbed: str, key: str, family: Family) -> Comparison:
        """A comparison; the first of a testbed that is asked for takes the whole campaign."""
        task = Task(key, MEASURES[key], family)
        if (testbed, task) not in self._found:
            self._campaign(testbed)
        return self._found[testbed, task]

    def growth(self, curve: Curve, key: str, family: Family) -> Growth:
        """A curve; the first over its axis that is asked for draws them all."""
        task = Task(key, MEASURES[key], family)
        if (curve, task) not in self._drawn:
            self._draw(curve)
        return self._drawn[curve, task]

    def arms_of(self, testbed: str) -> dict[str, Arm]:
        """The datapaths to compare on a testbed, the baseline first."""
        topology = TESTBEDS.find(testbed).topology
        return {name: Arm(name, testbed, topology, self._settings) for name in self._arms}

    def _again(self) -> str:
        """What is measured twice: the last arm that every measure applies to."""
        bypassing = [name for name in self._arms if datapaths.find(name).host_routing]
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
            testbed, self.arms_of(testbed), self._wanted[testbed], self.run.seed,
            again=self._again(), watcher=self.show,
        )  # fmt: skip
        try:
            with self._shares().share(testbed) as seconds:
                campaign.run(seconds)
        finally:
            self.run.comparisons += campaign.comparisons
            self._found |= {(testbed, found.task): found for found in campaign.comparisons}

    def _draw(self, curve: Curve) -> None:
        axis = AXES[curve.over]
        curves = Curves(
            curve.testbed, self.arms_of(curve.testbed), axis, self._curves[curve], self.run.seed,
            points=axis.all_points if curve.every else axis.points, watcher=self.show,
        )  # fmt: skip
        try:
            if curve.every:
                curves.run()
            else:
                with self._shares().share(str(curve)) as seconds:
                    curves.run(seconds)
        finally:
            self.run.growths += curves.growths
            self._drawn |= {(curve, found.task): found for found in curves.growths}
