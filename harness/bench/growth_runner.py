# SPDX-License-Identifier: Apache-2.0
"""Measures the curves of a testbed: every arm at every point, in passes.

At a point all arms are built anew and take interleaved rounds. A pass takes the points in random
order; one value for each build goes into the fit, whose evidence is thus the build as well.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from statistics import median
from typing import Protocol

from harness.bench.arms import Arm
from harness.bench.budget import Timed, in_seconds
from harness.bench.growth import FEWEST_BUILDS, Axis, Curve
from harness.bench.provenance import network_facts
from harness.bench.rounds import take_turns
from harness.bench.series import UNCLAIMED, Task, asked, opened
from harness.bpf.run_time import measuring
from harness.plumbing.errors import reason
from harness.plumbing.signals import interrupt_if_due
from harness.results.comparison import Built
from harness.results.growth import Growth
from harness.testbed import Testbed

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
        growths: The curves, once they have come to their end.
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
        self.growths: list[Growth] = []
        self._curves = [Curve(task, axis.over, testbed) for task in tasks]
        self.passes = 0
        self._arms = dict(arms)
        for curve in self._curves:
            curve.inapplicable = {
                label: UNCLAIMED
                for label, arm in arms.items()
                if not curve.task.measure.applies(arm)
            }
        self._seed = f"{seed} {testbed} over {axis.over}"
        self._watcher = watcher

    @property
    def _open(self) -> list[Curve]:
        """Those whose measure has not failed."""
        return [curve for curve in self._curves if curve.partial is None]

    @measuring("growth")
    def run(self, seconds: float | None = None) -> list[Growth]:
        """Draw them in as many passes as the time holds, six at the most.

        Args:
            seconds: The time.

        Returns:
            The curves. They are in `growths` too if this raises, and partial then.

        Raises:
            HarnessError: An arm cannot be built, or BPF programs' runs are being counted.
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
            short = why is None and self.passes < FEWEST_BUILDS
            if short:
                why = (
                    f"its share of --bench-budget, {in_seconds(self.seconds or 0)}, held"
                    f" {self.passes} of the {FEWEST_BUILDS} builds of each point that a fit needs:"
                    " allow more or measure less (-k)"
                )
            for curve in self._open:
                curve.partial, curve.given_up = why, short
            self.growths = [curve.growth() for curve in self._curves]
            if self._watcher is not None:
                with suppress(OSError):
                    self._watcher.drawn(self)
        return self.growths

    def _build_first(self) -> None:
        """Build every arm once, so that no pass has to compile, and note what they are."""
        with ExitStack() as stack:
            for label, arm in self._arms.items():
                wanted = self.axis.at(arm, self.points[0])
                built = stack.enter_context(wanted.build())
                hosts = network_facts(built.network)
                found = Built(**asked(wanted), nodes=built.describe(), hosts=hosts)
                for curve in self._curves:
                    curve.arms[label] = found

    def _affordable(self) -> bool:
        """Whether to begin another pass: not if the time left does not hold those a fit needs."""
        if not self.passes:
            return self._left > 0
        return self._left > self.spent / self.passes * max(1, FEWEST_BUILDS - self.passes)

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
            waiting = chance.sample(self._curves, len(self._curves))
            while waiting := [curve for curve in waiting if curve.partial is None]:
                waiting = self._point(x, labels, waiting)
        return True

    def _point(self, x: int, labels: Sequence[str], curves: Sequence[Curve]) -> list[Curve]:
        """Build all arms and measure there, until one fails: that may have broken the arms.

        Returns:
            Those that then wait for new ones.
        """
        with ExitStack() as stack:
            built = {
                label: stack.enter_context(self.axis.at(self._arms[label], x).build())
                for label in labels
            }
            for at, curve in enumerate(curves):
                try:
                    self._measure(curve, x, built)
                except Exception as error:  # noqa: BLE001 - it is this measure's alone
                    interrupt_if_due()  # which may be why it failed
                    curve.partial = reason(error)
                    return list(curves[at + 1 :])
        return []

    def _measure(self, curve: Curve, x: int, built: Mapping[str, Testbed]) -> None:
        measure = curve.task.measure
        with ExitStack() as stack:
            samplers = opened(
                stack, curve.task, built, self._arms, curve.inapplicable, curve.points
            )
            seed = f"{self._seed} {self.passes} {x} {curve.task}"
            turns = take_turns(samplers, measure.plan.rounds, seed)
        for label in self._arms:
            if label in turns:
                curve.add(label, x, median(measure.value(turn) for turn in turns[label]))
