# SPDX-License-Identifier: Apache-2.0
"""What one turn of one arm gives, and what most measures make of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from statistics import median

from harness.bench.arms import Arm
from harness.plumbing.errors import TrafficError


class Turn(list[float]):
    """A turn's raw samples, in the measure's unit.

    A list, because that is what most turns are and what goes into a record.

    Attributes:
        extra: Side figures by name, such as `lost_percent`: one number each for the whole turn.
    """

    def __init__(self, samples: Iterable[float], extra: Mapping[str, float] | None = None) -> None:
        """Take samples that can be true.

        Raises:
            TrafficError: There is none, or one is not a positive number.
        """
        super().__init__(samples)
        self.extra = dict(extra or {})
        if not self:
            raise TrafficError("a turn gave no sample")
        for sample in self:
            if not (math.isfinite(sample) and sample > 0):
                raise TrafficError(
                    f"a turn gave the sample {sample}, not a positive number",
                    "the machine's clock cannot be trusted",
                )


#: Takes a turn of one arm.
Sampler = Callable[[], Turn]


class Usual:
    """What most measures do alike."""

    def applies(self, arm: Arm) -> bool:
        """To every arm."""
        del arm
        return True

    def value(self, samples: list[float]) -> float:
        """The median: one preemption in a turn does not move it."""
        return median(samples)
