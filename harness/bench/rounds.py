# SPDX-License-Identifier: Apache-2.0
"""Interleaved rounds: within a build, all arms in turn, in random order. Floor 7.

Why builds and rounds: two networks built alike differ by 1 to 2 % in their round trip for as long
as they live (where their memory happens to lie), and programs loaded twice by 6 % (where their code
does), which no number of rounds averages out. So the unit of evidence is the build, with the
programs loaded anew, and the rounds within it only quiet the clock.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.errors import TrafficError, UnknownNameError
from harness.signals import interrupt_if_due

#: One turn of one arm: raw samples in the measure's unit, at least one.
Sampler = Callable[[], list[float]]
#: One arm's raw samples within a build: [round][sample].
Turns = list[list[float]]
#: [build][round][sample].
Series = list[Turns]


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    Attributes:
        builds: The most builds of every arm; the verdict may be settled sooner.
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


def take_turns(samplers: Mapping[str, Sampler], rounds: int, seed: str) -> dict[str, Turns]:
    """Measure the arms of one build in interleaved rounds.

    Args:
        samplers: Label → what takes the arm's turn.
        rounds: Turns of every arm.
        seed: Decides the order in every round.

    Returns:
        Label → its raw samples; equal numbers of the round pair the arms.

    Raises:
        TrafficError: A turn failed, or gave no sample; it names the arm.
    """
    orders = shuffled(list(samplers), random.Random(seed))
    turns: dict[str, Turns] = {label: [] for label in samplers}
    for _ in range(rounds):
        for label in next(orders):
            interrupt_if_due()
            try:
                samples = samplers[label]()
            except TrafficError as error:
                raise TrafficError(f"arm {label}: {error.what}", error.todo) from error
            if not samples:
                raise TrafficError(f"arm {label}: a turn gave no sample")
            turns[label].append(samples)
    return turns
