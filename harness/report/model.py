# SPDX-License-Identifier: Apache-2.0
"""What a report adds to a run: the shape of its samples, in place of millions of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.results.run import Run


@dataclass(frozen=True)
class Distribution:
    """An arm's samples, all builds and rounds together.

    Attributes:
        samples: How many there were.
        quantiles: Share of the samples → value; empty where they are too few to be drawn.
    """

    samples: int
    quantiles: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Digest:
    """A run as reports need it.

    Attributes:
        run: Without its raw samples, its texts harmless, its comparisons and curves sorted.
        distributions: For each comparison of the run, label → that arm's samples.
    """

    run: Run
    distributions: tuple[Mapping[str, Distribution], ...] = ()


@dataclass(frozen=True)
class Report:
    """All that is drawn.

    Attributes:
        digests: In the order of their start.
        titles: Id of an assertion → what it asserts, in the catalogue's order.
        later: Id of an assertion → why no test asserts it yet.
        unread: Files that could not be read, and why; clean texts.
    """

    digests: tuple[Digest, ...]
    titles: Mapping[str, str] = field(default_factory=dict)
    later: Mapping[str, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs themselves."""
        return tuple(digest.run for digest in self.digests)
