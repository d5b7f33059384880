# SPDX-License-Identifier: Apache-2.0
"""A record as the report needs it: texts made harmless, samples reduced to a curve.

The record has passed its schema (`harness.results.read`): its shape is known, its texts are not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from harness.plumbing.printable import clean, lines
from harness.report.model import (
    Arm,
    Check,
    Comparison,
    Exact,
    Fit,
    Growth,
    Mean,
    Point,
    Run,
    Verdict,
)  # fmt: skip
from harness.report.units import natural
from harness.results import Document
from harness.results.compare import PARTIAL

#: Fewer samples than this are drawn as an interval, not as a distribution.
FEWEST_SAMPLES = 200
# Even steps of the log odds: as many points between p99 and p99.9 as between p50 and p90.
_SHARES = tuple(1 / (1 + math.exp(-odds / 6)) for odds in range(-42, 55))


def digest(record: Mapping[str, Any]) -> Run:
    """One record, reduced; every text of it on one line but the tables of legs."""
    legs = [entry["legs"] for entry in record["conformance"]]
    record = clean(record)
    git = record["git"]
    return Run(
        id=record["id"],
        batch=record.get("batch") or "",
        harness=record["harness"],
        started=record["started"],
        ended=record["ended"] or "",
        partial=record["partial"] or "",
        command=tuple(record["command"]),
        commit=git["commit"] or "",
        dirty=git["dirty"],
        seed=str(record["seed"]),
        machine=record["machine"],
        document=_slim(record),
        comparisons=tuple(sorted(map(_comparison, record["comparisons"]), key=_order)),
        means=tuple(map(_mean, record["summary"])),
        growth=tuple(sorted(map(_growth, record["growth"]), key=_growth_order)),
        checks=tuple(map(_check, record["conformance"], legs)),
        exact=tuple(
            Exact(**{key: entry[key] for key in Exact.__dataclass_fields__})
            for entry in record["exact"]
        ),
    )


def _slim(record: Mapping[str, Any]) -> Document:
    """The record without its samples; the values of its rounds stay."""
    comparisons = [
        {**entry, "arms": {label: {**arm, "samples": []} for label, arm in entry["arms"].items()}}
        for entry in record["comparisons"]
    ]
    return {**record, "comparisons": comparisons}


def _comparison(entry: Mapping[str, Any]) -> Comparison:
    texts = ("measure", "title", "described", "unit", "better", "testbed", "family", "baseline")
    return Comparison(
        **{key: entry[key] for key in texts},
        partial=entry["partial"] or "",
        arms={label: _arm(label, arm) for label, arm in entry["arms"].items()},
        verdicts=tuple(_verdict(found, entry["partial"]) for found in entry["verdicts"]),
    )


def _order(entry: Comparison) -> tuple[object, ...]:
    """Comparisons stand in a record in the order in which they ended."""
    return entry.title, natural(entry.described), entry.testbed, entry.family


def _growth_order(curve: Growth) -> tuple[object, ...]:
    return curve.over, natural(curve.name), curve.testbed, curve.family


def _arm(label: str, arm: Mapping[str, Any]) -> Arm:
    values = [[value for value in rounds if value is not None] for rounds in arm["values"]]
    flat = [value for rounds in values for value in rounds]
    samples = list(_flat(arm["samples"]))
    many = len(samples) >= FEWEST_SAMPLES and min(samples) > 0  # drawn on a logarithmic axis
    return Arm(
        label=label,
        datapath=arm["datapath"] or "",
        again=arm["again"],
        nodes={node: str(name) for node, name in arm["nodes"].items()},
        hosts=arm["hosts"],
        settings=arm["settings"],
        typical=median(flat) if flat else None,
        builds=tuple(median(rounds) for rounds in values if rounds),
        percentiles=arm.get("percentiles") or {},
        quantiles=_quantiles(samples) if many else (),
        samples=len(samples),
        extra=_extra(arm.get("extra") or {}),
    )


def _quantiles(samples: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """Share of the samples → value; no share that fewer than one sample stands for."""
    ordered, many = sorted(samples), len(samples)
    shares = [share for share in _SHARES if 1 / many <= share <= 1 - 1 / many]
    return tuple((share, ordered[math.ceil(share * many) - 1]) for share in shares)


def _flat(value: object) -> Iterable[float]:
    if isinstance(value, list):
        for item in value:
            yield from _flat(item)
    elif isinstance(value, int | float):
        yield value


def _extra(extra: Mapping[str, object]) -> dict[str, float]:
    found = {name: list(_flat(values)) for name, values in extra.items()}
    return {name: median(values) for name, values in found.items() if values}


def _verdict(entry: Mapping[str, Any], partial: str | None) -> Verdict:
    """As it stands in the record; of a comparison that broke off, no verdict follows."""
    found = {key: entry[key] for key in Verdict.__dataclass_fields__}
    found |= {"warnings": tuple(entry["warnings"])} | ({"verdict": PARTIAL} if partial else {})
    return Verdict(**found)


def _mean(entry: Mapping[str, Any]) -> Mean:
    return Mean(**{key: entry[key] for key in Mean.__dataclass_fields__})


def _growth(entry: Mapping[str, Any]) -> Growth:
    return Growth(
        **{key: entry[key] for key in ("measure", "unit", "better", "testbed", "family", "over")},
        name=f"{entry['title']} {entry['described']}".strip(),
        points={label: tuple(_points(points)) for label, points in entry["points"].items()},
        fits={
            label: Fit(**{key: fit.get(key) for key in Fit.__dataclass_fields__})
            for label, fit in entry["fits"].items()
        },
        partial=entry["partial"] or "",
    )


def _points(points: Sequence[Mapping[str, Any]]) -> Iterable[Point]:
    for point in sorted(points, key=lambda point: float(point["x"])):
        values = list(_flat(point["values"]))
        if values:
            yield Point(point["x"], median(values), min(values), max(values), len(values))


def _check(entry: Mapping[str, Any], legs: Sequence[str]) -> Check:
    return Check(
        **{key: entry[key] or "" for key in
           ("id", "test", "testbed", "datapath", "family", "outcome", "reason")},
        degraded=tuple(entry["degraded"]),
        legs=tuple("\n".join(lines(table)) for table in legs),
        observed={name: _text(value) for name, value in entry["observed"].items()},
    )  # fmt: skip


def _text(value: object) -> str:
    """An observed value for people: yes and no, numbers without a trailing .0, none as a word."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "none" if value is None else str(value)
