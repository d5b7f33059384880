# SPDX-License-Identifier: Apache-2.0
"""The run's time for measuring, shared out among those who measure."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


def in_seconds(seconds: float) -> str:
    """A time for people: whole seconds, of a few their tenths too."""
    return f"{seconds:.{0 if seconds >= 10 else 1}f} s"


class Budget:
    """Seconds for several users; what one leaves goes to those after it.

    Attributes:
        left: Seconds nobody has used yet.
    """

    def __init__(self, seconds: float, shares: Mapping[str, float]) -> None:
        """Share out.

        Args:
            seconds: For all together.
            shares: Name of each user → its part, in any unit.
        """
        self.left = seconds
        self._shares = dict(shares)

    @contextmanager
    def share(self, name: str) -> Iterator[float]:
        """Seconds for one user; what it then uses is taken off.

        Should it overrun them, by compiling or by ending what it began, the others do not pay.

        Raises:
            KeyError: It is no user, or has had its share.
        """
        part = self._shares[name] / sum(self._shares.values())
        del self._shares[name]
        seconds, began = self.left * part, time.monotonic()
        try:
            yield seconds
        finally:
            self.left -= min(time.monotonic() - began, seconds)


class Timed:
    """What may take so long and no longer, from the moment its clock was started.

    Attributes:
        seconds: How long it may take; None: as long as it needs.
    """

    def __init__(self) -> None:
        self._start(None)

    def _start(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._began = time.monotonic()

    @property
    def spent(self) -> float:
        """Seconds since its clock was started."""
        return time.monotonic() - self._began

    @property
    def _left(self) -> float:
        return math.inf if self.seconds is None else self.seconds - self.spent
