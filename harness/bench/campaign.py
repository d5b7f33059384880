# SPDX-License-Identifier: Apache-2.0
"""A campaign: all measures of a testbed, on arms that are built once a block for all.

In each block every arm is built anew, and the measures, in random order, each take their
interleaved rounds on it. So a build, the unit of evidence, is paid for once and not once a measure.
A measure whose verdicts are settled drops out; one that fails drops out too, and keeps what it had.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Protocol

from harness.bench.arms import Arm, limit
from harness.bench.budget import Timed, in_seconds
from harness.bench.measurement import Measurement
from harness.bench.provenance import network_facts
from harness.bench.series import ArmSeries, Task
from harness.bench.verdict import Criteria
from harness.bpf.run_time import measuring
from harness.plumbing.errors import HarnessError, reason
from harness.plumbing.signals import held, interrupt_if_due
from harness.results.comparison import AGAIN, LIMIT, Comparison, HostFacts
from harness.testbed import Testbed

#: The limit has no verdict: a few builds show where it lies.
_LIMIT_BUILDS = 4
#: How much more than there is time for may seem to be needed, for every block that is still to come
#: after the next two, before something is given up; a share. Before the last two blocks some time
#: must be left over: on a busy machine a block takes longer than the one before as often as not.
_DOUBT = 0.1
#: The same when the first block decides who there is time for.
_SPARE = 1.2
#: How much later than its time a campaign may end to bring what it has begun to a verdict; a share.
_LATE = 0.15


class Watcher(Protocol):
    """Whoever shows how far a campaign is. That it cannot be shown ends no campaign."""

    def step(self, campaign: Campaign, task: Task) -> None:
        """A measure is about to take its turns in a block."""
        ...

    def finished(self, campaign: Campaign, comparison: Comparison) -> None:
        """A comparison has come to its end."""
        ...


class Campaign(Timed):
    """The comparisons of one testbed.

    Attributes:
        testbed: Its name.
        arms: Label → arm, the baseline first; also the arm that is measured twice, and the limit.
        again: Label of the arm that is measured twice.
        tasks: How many comparisons there are to make.
        comparisons: Those that came to their end, in that order.
        blocks: How many blocks are complete.
        seconds: How long it may take; None: as long as the verdicts need.
    """

    def __init__(
        self,
        testbed: str,
        arms: Mapping[str, Arm],
        tasks: Sequence[Task],
        seed: int,
        *,
        again: str | None = None,
        with_limit: bool = True,
        criteria: Criteria | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        """Describe it.

        Args:
            testbed: Its name, for reports.
            arms: Label → arm; the first is the baseline.
            tasks: What to measure.
            seed: Of the run; with the testbed's name and the block's number it decides every order.
            again: Label of the arm to measure twice, for the noise; the last by default.
            with_limit: Whether the limit is measured too.
            criteria: When a difference counts, and after how many builds that is asked.
            watcher: Who shows how far it is.
        """
        self.testbed = testbed
        self.again = again or list(arms)[-1]
        self.arms = {**arms, self.again + AGAIN: arms[self.again]}
        if with_limit:
            self.arms[LIMIT] = limit(testbed)
        self.tasks = len(tasks)
        self.comparisons: list[Comparison] = []
        self.blocks = 0
        self._seed = f"{seed} {testbed}"
        self._watcher = watcher
        self._measurements = [
            Measurement(task, testbed, self.arms, self.again, self._seed, criteria or Criteria())
            for task in tasks
        ]
        self._names: dict[str, dict[str, str]] = {}
        self._hosts: dict[str, dict[str, HostFacts]] = {}
        self._building = 0.0

    @property
    def _open(self) -> list[Measurement]:
        return [measurement for measurement in self._measurements if measurement.result is None]

    @measuring("a campaign")
    def run(self, seconds: float | None = None) -> list[Comparison]:
        """Measure until every verdict is settled, or the time is up.

        Args:
            seconds: The time, without that of compiling. What it cannot bring to the fewest builds
                that a verdict needs is left out, the costliest first.

        Returns:
            The comparisons, whole and partial. They are in `comparisons` too if this raises: what
            was under way is then partial.

        Raises:
            HarnessError: An arm cannot be built, or BPF programs' runs are being counted.
        """
        why = "another error ended the run"
        try:
            self._building = self._build_first()
            self._start(seconds)
            while self._affordable():
                self._block()
                self.blocks += 1
            why = ""
        except KeyboardInterrupt:
            why = "interrupted"
            raise
        except Exception as error:
            why = reason(error)
            raise
        finally:
            with held():  # judging takes its time, and whoever sent one signal may send another
                for measurement in self._open:
                    short = None if why else self._too_few(measurement)
                    self._finish(measurement, why or short, given_up=short is not None)
        return self.comparisons

    def _finish(
        self, measurement: Measurement, partial: str | None, given_up: bool = False
    ) -> None:
        self.comparisons.append(measurement.finish(partial, given_up))
        if self._watcher is not None:
            with suppress(OSError):
                self._watcher.finished(self, self.comparisons[-1])

    def _too_few(self, measurement: Measurement) -> str | None:
        """What to say of a measurement that ends before its verdict's fewest builds."""
        if measurement.builds >= measurement.floor:
            return None
        builds = f"{measurement.builds} of the {measurement.floor}"
        return (
            f"the time, {in_seconds(self.seconds or 0)}, held {builds} builds that a verdict needs:"
            " allow more (--bench-budget) or measure less (-k)"
        )

    def _affordable(self) -> bool:
        """Whether to begin another block.

        Gives up, the costliest first, what the time left cannot bring to its fewest builds. Cost
        alone decides, never what was found, so this favours no verdict.
        """
        short = [each for each in self._open if each.builds < each.floor]
        while self.blocks and short:
            missing = {each: each.floor - each.builds for each in short}
            needed = sum(each.seconds * missing[each] for each in short)
            needed += self._building * max(missing.values())
            # What a build costs is known badly at first, and may fall.
            if needed <= self._left * (1 + _DOUBT * (max(missing.values()) - 2)):
                break
            costliest = max(short, key=lambda each: each.seconds)
            short.remove(costliest)
            self._finish(costliest, self._too_few(costliest), given_up=True)
        return self._left > 0 and any(each.seconds <= self._left for each in self._open)

    def _block(self) -> None:
        seed = f"{self._seed} {self.blocks}"
        chance = random.Random(seed)
        labels = [at for at in self.arms if at != LIMIT or self.blocks < _LIMIT_BUILDS]
        chance.shuffle(labels)
        waiting = list(self._measurements)  # also those that are done: the seed decides the order
        if self.blocks or self.seconds is None:
            chance.shuffle(waiting)  # the first block decides who there is time for: in their order
        began = time.monotonic()
        with ExitStack() as stack:
            built = {label: stack.enter_context(self.arms[label].build()) for label in labels}
            self._hold_to_their_names(built)
            self._building = time.monotonic() - began
            for measurement in waiting:
                left = self._left_for(measurement)
                if measurement.result is not None or measurement.seconds > left:
                    continue
                if left <= 0 or not self._turns(measurement, built, f"{seed} {measurement.task}"):
                    break
                if not self.blocks and self._is_spoken_for():
                    break
        if not self.blocks and self._is_spoken_for():
            for measurement in [each for each in self._open if not each.builds]:
                self._finish(measurement, self._too_few(measurement), given_up=True)

    def _left_for(self, measurement: Measurement) -> float:
        """Seconds for a measurement's turns; the build that makes a verdict may come a bit late."""
        makes_a_verdict = measurement.builds == measurement.floor - 1
        return self._left + (_LATE * (self.seconds or 0) if makes_a_verdict else 0)

    def _is_spoken_for(self) -> bool:
        """Whether those that were measured once need all the time left: fewer, but those well."""
        begun = [each for each in self._open if each.builds]
        missing = max((each.floor - each.builds for each in begun), default=0)
        needed = sum(each.seconds * (each.floor - each.builds) for each in begun)
        needed += self._building * missing
        return bool(begun) and needed * _SPARE > self._left

    def _turns(self, measurement: Measurement, built: Mapping[str, Testbed], seed: str) -> bool:
        """Let a measurement take its turns, and end it if it is settled.

        Returns:
            False if it failed. What went wrong may have broken the arms: the block ends, and the
            other measurements go on with new ones.
        """
        if self._watcher is not None:
            with suppress(OSError):
                self._watcher.step(self, measurement.task)
        began = time.monotonic()
        fresh = {
            label: ArmSeries(self.arms[label], self._names[label], self._hosts[label])
            for label in self.arms
            if label in built
        }
        try:
            measurement.take(built, fresh, seed)
            measurement.seconds = time.monotonic() - began
            if measurement.settled():
                self._finish(measurement, None)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this measure's alone
            interrupt_if_due()  # which may be why it failed
            self._finish(measurement, reason(error))
            return False
        return True

    def _build_first(self) -> float:
        """Build every arm once, so that no block has to compile; the seconds of a second time."""
        for _ in range(2):
            began = time.monotonic()
            with ExitStack() as stack:
                built = {
                    label: stack.enter_context(arm.build()) for label, arm in self.arms.items()
                }
                self._hold_to_their_names(built)
        return time.monotonic() - began

    def _hold_to_their_names(self, built: Mapping[str, Testbed]) -> None:
        for label, testbed in built.items():
            name = testbed.describe()
            if self._names.setdefault(label, name) != name:
                raise HarnessError(
                    f"arm {label} was built as {self._names[label]}, and then as {name}",
                    "leave bpf/ and the rules alone while it measures",
                )
            if label not in self._hosts:
                self._hosts[label] = network_facts(testbed.network)
