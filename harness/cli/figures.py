# SPDX-License-Identifier: Apache-2.0
"""Numbers for people: with their units, in columns."""

from __future__ import annotations

from harness.results.compare import NO_DIFFERENCE, Change

#: Unit → (divisor, what is shown).
_SCALES = {"ns": (1e3, "us"), "bit/s": (1e9, "Gbit/s")}


def shown(value: float, unit: str) -> str:
    """A value in the unit that people use for it, four digits of it."""
    divisor, word = _SCALES.get(unit, (1, unit))
    scaled = value / divisor
    whole = abs(scaled) >= 1000 or scaled == int(scaled)
    digits = f"{scaled:,.0f}" if whole else f"{scaled:#.4g}"
    return f"{digits} {word}".rstrip()


def interval(ratio: float | None, low: float | None, high: float | None) -> str:
    """A ratio with its interval; `-` for what is not known."""
    texts = ["-" if value is None else f"{value:.3f}" for value in (ratio, low, high)]
    return "{} [{}, {}]".format(*texts)


def change_line(change: Change) -> str:
    """What became of a number: by how much, and how sure that is."""
    against = f" against {change.against}" if change.against else ""
    values = f"{shown(change.old, change.unit)} -> {shown(change.new, change.unit)}"
    by = "" if change.verdict == NO_DIFFERENCE else f" by {abs(change.ratio - 1):.1%}"
    few = "" if change.telling else "; {} and {} builds are too few to tell".format(*change.builds)
    return (
        f"{change.arm + against:<28}{values:<30}"
        f" ratio {interval(change.ratio, change.low, change.high)}, {change.verdict}{by}"
        f" (floor ±{change.noise:.1%}, p {change.p_value:.2g}){few}"
    )
