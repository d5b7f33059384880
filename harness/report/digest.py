# SPDX-License-Identifier: Apache-2.0
"""A run as the report needs it: texts made harmless, samples reduced to a curve.

It was read by `harness.results.read`: its shape is known, its texts are not.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from harness.plumbing.printable import clean, lines
from harness.report.model import Digest, Distribution
from harness.results import formulas
from harness.results.assertion import Assertion
from harness.results.comparison import Arm, Comparison
from harness.results.growth import Growth
from harness.results.run import Run
from harness.results.units import natural

#: Fewer samples than this are drawn as an interval, not as a distribution.
FEWEST_SAMPLES = 200
# Even steps of the log odds: as many points between p99 and p99.9 as between p50 and p90.
_SHARES = tuple(1 / (1 + math.exp(-odds / 6)) for odds in range(-42, 55))
#: What of `WrongLegs` has lines.
_TABLES = ("expected", "seen", "side_by_side")
_S = TypeVar("_S", bound=Struct)


def digest(run: Run) -> Digest:
    """One run, reduced; every text of it on one line but the tables of legs."""
    comparisons = sorted(run.comparisons, key=_order)
    distributions = tuple(
        {clean(label): distribution(arm) for label, arm in entry.arms.items()}
        for entry in comparisons
    )
    bare = replace(run, comparisons=[entry.without_samples() for entry in comparisons],
                   growth=sorted(run.growth, key=_growth_order), conformance=[])  # fmt: skip
    tests = [_with_tables(test) for test in run.conformance]
    return Digest(replace(cleaned(bare), conformance=tests), distributions)


def _with_tables(test: Assertion) -> Assertion:
    """A test with every text on one line, and every table of legs on lines of its own."""
    wrong = test.wrong_legs
    if wrong is not None:
        tables = {name: _table(getattr(wrong, name)) for name in _TABLES}
        wrong = replace(cleaned(wrong), **tables)
    return replace(
        cleaned(replace(test, legs=[], wrong_legs=None)),
        legs=[_table(text) for text in test.legs],
        wrong_legs=wrong,
    )


def _table(text: str) -> str:
    return "\n".join(lines(text))


def cleaned(part: _S) -> _S:
    """A part of a record with every text of it on one line."""
    names = part.__struct_fields__
    return replace(part, **{name: _cleaned(getattr(part, name)) for name in names})


def _cleaned(value: Any) -> Any:
    if isinstance(value, Struct):
        return cleaned(value)
    if isinstance(value, dict):
        return {clean(key): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], Struct | list | str):
        return [_cleaned(item) for item in value]
    return clean(value)


def _order(entry: Comparison) -> tuple[object, ...]:
    """Comparisons stand in a record in the order in which they ended."""
    return entry.title, natural(entry.described), entry.testbed, entry.family


def _growth_order(curve: Growth) -> tuple[object, ...]:
    return curve.over, natural(curve.name), curve.testbed, curve.family


def distribution(arm: Arm) -> Distribution:
    """The shape of an arm's samples; no share that fewer than one sample stands for."""
    samples = arm.flat
    many = len(samples)
    if many < FEWEST_SAMPLES or min(samples) <= 0:  # drawn on a logarithmic axis
        return Distribution(many)
    shares = [share for share in _SHARES if 1 / many <= share <= 1 - 1 / many]
    return Distribution(many, tuple(formulas.reached(samples, shares)))
