# SPDX-License-Identifier: Apache-2.0
"""A change from one record to another, as `hostroute results compare` and `gate` print it."""

from __future__ import annotations

from harness.results import units
from harness.results.compare import Change
from harness.results.comparison import NO_DIFFERENCE


def change_line(change: Change) -> str:
    """What became of a number: by how much, and how sure that is."""
    against = f" against {change.against}" if change.against else ""
    shown = (units.shown(each, change.unit) if change.unit else units.ratio(each)
             for each in (change.old, change.new))  # fmt: skip
    by = "" if change.verdict == NO_DIFFERENCE else f" by {units.share(abs(change.ratio - 1), 1)}"
    few = "" if change.telling else "; {} and {} builds are too few to tell".format(*change.builds)
    return (
        f"{change.arm + against:<28}{' -> '.join(shown):<30}"
        f" ratio {units.estimate(change.ratio, change.low, change.high)}, {change.verdict}{by}"
        f" (floor {units.noise(change.noise)}, p {units.p_value(change.p_value)}){few}"
    )
