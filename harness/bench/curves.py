# SPDX-License-Identifier: Apache-2.0
"""Measures the curves of a testbed: every arm at every point, in passes. Floor 7.

At a point all arms are built anew and take interleaved rounds. A pass takes the points in random
order; one value for each build goes into the fit, whose evidence is thus the build as well.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from statistics import median
from typing import Protocol

from harness.bench.arms import Arm, BuiltArm
from harness.bench.budget import Timed, in_seconds
from harness.bench.growth import FEWEST_BUILDS, Axis, Growth
from harness.bench.rounds import take_turns
from harness.bench.series import Task
from harness.errors import reason
from harness.signals import interrupt_if_due

_PASSES = 6


class CurveWatcher(Protocol):
    """Whoever shows how far the curves are. That it cannot be shown ends none of them."""

    def point(self, curves: Curves, x: int) -> None:
        """All arms are about to be built at a point."""
        ...

    def drawn(self, curves: Curves) -> None:
        """The curves have come to their end."""
        ...


class Curves(Timed):
    """The curves of several measures over one axis.

    Attributes:
        testbed: Where.
        axis: What is counted.
        points: How many of it, each.
        growths: The curves.
        passes: How many passes are complete.
        seconds: How long it may take; None: six passes, however long they take.
    """

    def __init__(
        self,
        testbed: str,
        arms: Mapping[str, Arm],
        axis: Axis,
        tasks: Sequence[Task],
        seed: int,
        *,
        points: Sequence[int] | None = None,
        watcher: CurveWatcher | None = None,
    ) -> None:
        """Describe them.

        Args:
            testbed: Where, for reports.
            arms: Label → arm.
            axis: What is counted.
            tasks: What to measure.
            seed: Of the run.
            points: How many, each; the axis's own by default.
            watcher: Who shows how far it is.
        """
        self.testbed, self.axis = testbed, axis
        self.points = list(points or axis.points)
        self.growths = [Growth(task, axis.over, testbed) for task in tasks]
        self.passes = 0
        self._arms = dict(arms)
        self._seed = f"{seed} {testbed} over {axis.over}"
        self._watcher = watcher

    @property
    def _open(self) -> list[Growth]:
        """Those whose measure has not failed."""
        return [growth for growth in self.growths if growth.partial is None]

    def run(self, seconds: float | None = None) -> list[Growth]:
        """Draw them in as many passes as the time holds, six at the most.

        Args:
            seconds: The time.

        Returns:
            The curves. They are in `growths` too if this raises, and partial then.

        Raises:
            HarnessError: An arm cannot be built.
        """
        why: str | None = "another error ended the run"
        self._start(None)
        try:
            self._build_first()
            self._start(seconds)
            while self.passes < _PASSES and self._open and self._affordable():
                if not self._pass():
                    break
                self.passes += 1
            why = None
        except KeyboardInterrupt:
            why = "interrupted"
            raise
        except Exception as error:
            why = reason(error)
            raise
        finally:
            if why is None and self.passes < FEWEST_BUILDS:
                why = (
                    f"its share of --bench-budget, {in_seconds(self.seconds or 0)}, held"
                    f" {self.passes} of the {FEWEST_BUILDS} builds of each point that a fit needs:"
                    " allow more or measure less (-k)"
                )
            for growth in self._open:
                growth.partial = why
            if self._watcher is not None:
                with suppress(OSError):
                    self._watcher.drawn(self)
        return self.growths

    def _build_first(self) -> None:
        """Build every arm once, so that no pass has to compile, and note what they are."""
        with ExitStack() as stack:
            for label, arm in self._arms.items():
                built = stack.enter_context(BuiltArm(self.axis.at(arm, self.points[0])))
                found = {
                    **built.arm.to_json(), "nodes": built.describe(), "hosts": built.facts(),
                }  # fmt: skip
                for growth in self.growths:
                    growth.arms[label] = found

    def _affordable(self) -> bool:
        return self._left > (self.spent / self.passes if self.passes else 0)

    def _pass(self) -> bool:
        """Take every point once; False: the time was up before the last."""
        chance = random.Random(f"{self._seed} {self.passes}")
        for x in chance.sample(self.points, len(self.points)):
            if self._left <= 0:
                return False
            if self._watcher is not None:
                with suppress(OSError):
                    self._watcher.point(self, x)
            labels = chance.sample(list(self._arms), len(self._arms))
            waiting = chance.sample(self.growths, len(self.growths))
            while waiting := [growth for growth in waiting if growth.partial is None]:
                waiting = self._point(x, labels, waiting)
        return True

    def _point(self, x: int, labels: Sequence[str], growths: Sequence[Growth]) -> list[Growth]:
        """Build all arms and measure there, until one fails: that may have broken the arms.

        Returns:
            Those that then wait for new ones.
        """
        with ExitStack() as stack:
            built = {
                label: stack.enter_context(BuiltArm(self.axis.at(self._arms[label], x)))
                for label in labels
            }
            for at, growth in enumerate(growths):
                try:
                    self._measure(growth, x, built)
                except Exception as error:  # noqa: BLE001 - it is this measure's alone
                    interrupt_if_due()  # which may be why it failed
                    growth.partial = reason(error)
                    return list(growths[at + 1 :])
        return []

    def _measure(self, growth: Growth, x: int, built: Mapping[str, BuiltArm]) -> None:
        measure, family = growth.task.measure, growth.task.family
        with ExitStack() as stack:
            samplers = {
                label: stack.enter_context(measure.opened(arm, family))
                for label, arm in built.items()
                if measure.applies(arm.arm)
            }
            seed = f"{self._seed} {self.passes} {x} {growth.task}"
            turns = take_turns(samplers, measure.plan.rounds, seed)
        for label in self._arms:
            if label in turns:
                growth.add(label, x, median(measure.value(turn) for turn in turns[label]))
