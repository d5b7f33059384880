# SPDX-License-Identifier: Apache-2.0
"""What one run has measured so far, and what of it goes into its record."""

from __future__ import annotations

import os

from harness.bench.summary import summarise
from harness.results import Comparison, Draft, Gain, Growth


class Session:
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

    def enter(self, draft: Draft) -> None:
        """Put its parts into the run's record."""
        draft.seed, draft.partial = self.seed, self.partial
        draft.comparisons, draft.growth = self.comparisons, self.growths
        draft.summary = self.summary()
