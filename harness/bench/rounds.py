# SPDX-License-Identifier: Apache-2.0
"""Interleaved rounds: every arm built anew, then all of them in turn, in random order. Floor 7.

Why builds and rounds: two networks built alike differ by 1 to 2 % in their round trip for as long
as they live (where their memory happens to lie), which no number of rounds averages out. So the
unit of evidence is the build, and the rounds within it only quiet the clock.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from harness.errors import TrafficError, UnknownNameError

#: One turn of one arm: raw samples in the measure's unit, at least one.
Sampler = Callable[[], list[float]]
#: [build][round][sample].
Series = list[list[list[float]]]


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    Attributes:
        builds: How often every arm is built anew; what the verdict counts.
        rounds: Turns of every arm within a build.
    """

    builds: int
    rounds: int

    def __post_init__(self) -> None:
        if self.builds < 1 or self.rounds < 1:
            raise UnknownNameError(f"plan: {self.builds} builds of {self.rounds} rounds is nothing")


def shuffled(labels: Sequence[str], chance: random.Random) -> Iterator[list[str]]:
    """Without end, the labels in random order, each once."""
    while True:
        order = list(labels)
        chance.shuffle(order)
        yield order


def collect(
    labels: Sequence[str],
    opened: Callable[[str], AbstractContextManager[Sampler]],
    plan: Plan,
    seed: str,
) -> dict[str, Series]:
    """Measure every arm in interleaved rounds.

    Args:
        labels: The arms.
        opened: Builds the arm of that label; in its context it is ready to be measured.
        plan: How much.
        seed: Decides the order of building and of every round.

    Returns:
        Label → its raw samples, [build][round][sample]; build and round number pair the arms.

    Raises:
        TrafficError: A turn gave no sample.
    """
    orders = shuffled(labels, random.Random(seed))
    series: dict[str, Series] = {label: [] for label in labels}
    for _ in range(plan.builds):
        with ExitStack() as stack:
            samplers = {label: stack.enter_context(opened(label)) for label in next(orders)}
            for label in labels:
                series[label].append([])
            for _ in range(plan.rounds):
                for label in next(orders):
                    samples = samplers[label]()
                    if not samples:
                        raise TrafficError(f"arm {label}: a turn gave no sample")
                    series[label][-1].append(samples)
    return series
