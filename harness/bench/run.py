# SPDX-License-Identifier: Apache-2.0
"""What one run measured, for its record. Floor 7."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.bench.comparison import Comparison
from harness.bench.growth import Growth
from harness.bench.record import begin, write
from harness.bench.summary import Gain, summarise


class Run:
    """The comparisons and curves of one run.

    Attributes:
        seed: Decides every order in the run; another run with it asks for the same orders.
        comparisons: Whole and partial ones, in the order in which they came to their end.
        growths: The curves.
        partial: Why the run did not come to its end; None: it did.
    """

    def __init__(self, directory: Path, command: Sequence[str], seed: int | None = None) -> None:
        """Note how it began.

        Args:
            directory: The checkout that runs.
            command: How it was started.
            seed: Drawn if there is none.
        """
        self.seed = seed if seed is not None else int.from_bytes(os.urandom(4), "big")
        self.comparisons: list[Comparison] = []
        self.growths: list[Growth] = []
        self.partial: str | None = None
        self._begun = begin(directory, command, self.seed)

    def __bool__(self) -> bool:
        return bool(self.comparisons or self.growths)

    def summary(self) -> list[Gain]:
        """The geometric means over its measures."""
        return summarise(self.comparisons)

    def end(self, why: str | None) -> None:
        """Note how it ended.

        Args:
            why: Why it did not come to its end, as far as its caller knows; None: it did.
        """
        reasons = [found.partial for found in self.comparisons]
        reasons += [found.partial for found in self.growths]
        broken = [reason for reason in reasons if reason is not None]
        if why is None and broken:
            why = f"{len(broken)} of {len(reasons)} results are partial; the first: {broken[0]}"
        self.partial = why

    def to_json(self) -> dict[str, Any]:
        """The record, without its id; other rooms may add to its lists."""
        return {
            **self._begun,
            "partial": self.partial,
            "comparisons": [comparison.to_json() for comparison in self.comparisons],
            "summary": [gain.to_json() for gain in self.summary()],
            "growth": [growth.to_json() for growth in self.growths],
        }

    def write(self, directory: Path) -> Path:
        """Write the record.

        Raises:
            RecordError: It cannot be written there.
        """
        return write(directory, self.to_json())
