# SPDX-License-Identifier: Apache-2.0
"""What one run measured, for its record."""

from __future__ import annotations

import os
from typing import Any

from harness.bench.comparison import Comparison
from harness.bench.growth import Growth
from harness.bench.summary import Gain, summarise


class Run:
    """The comparisons and curves of one run.

    Attributes:
        seed: Decides every order in the run; another run with it asks for the same orders.
        comparisons: Whole and partial ones, in the order in which they came to their end.
        growths: The curves.
    """

    def __init__(self, seed: int | None = None) -> None:
        """Begin; the seed is drawn if there is none."""
        self.seed = seed if seed is not None else int.from_bytes(os.urandom(4), "big")
        self.comparisons: list[Comparison] = []
        self.growths: list[Growth] = []

    def __bool__(self) -> bool:
        return bool(self.comparisons or self.growths)

    @property
    def partial(self) -> str | None:
        """Why not everything that was to be measured is whole; None: it is."""
        reasons = [found.partial for found in self.comparisons]
        reasons += [found.partial for found in self.growths]
        broken = [reason for reason in reasons if reason is not None]
        if not broken:
            return None
        return f"{len(broken)} of {len(reasons)} results are partial; the first: {broken[0]}"

    def summary(self) -> list[Gain]:
        """The geometric means over its measures."""
        return summarise(self.comparisons)

    def parts(self) -> dict[str, Any]:
        """Its parts of the record."""
        return {
            "seed": self.seed,
            "partial": self.partial,
            "comparisons": [comparison.to_json() for comparison in self.comparisons],
            "summary": [gain.to_json() for gain in self.summary()],
            "growth": [growth.to_json() for growth in self.growths],
        }
