# SPDX-License-Identifier: Apache-2.0
"""Samples as entries of pytest-benchmark, whose files and tools then know them.

pytest-benchmark knows durations only, and that less is better. So a rate is entered as its
reciprocal: seconds for a gigabit, for a packet, for a connection. Its mean is then that of the
durations (the rates' harmonic mean); the rate itself is in `extra_info`. It has no intervals over
builds, no noise floor and no verdict of its own: `--benchmark-compare` of two runs compares their
moments, not only their datapaths. What a verdict rests on is the record in results/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from statistics import median
from typing import Any

import pytest

from harness.results import Comparison, units

_GIGA = 1e9


class Replay:
    """A timer for pytest-benchmark that plays back durations measured elsewhere.

    It cannot interleave two arms itself: here the rounds are over when it begins. Every second
    reading, the end of a round, is one duration after the reading before.
    """

    __name__ = "replayed"

    def __init__(self) -> None:
        self._durations: Iterator[float] = iter(())
        self._now = 0.0
        self._started = False

    def load(self, seconds: Iterable[float]) -> None:
        """Take the durations of the next benchmark, seconds."""
        self._durations, self._started = iter(seconds), False

    def __call__(self) -> float:
        """The time, seconds."""
        if self._started:
            self._now += next(self._durations)
        self._started = not self._started
        return self._now


REPLAY = Replay()


def durations(samples: list[float], unit: str, better: str) -> tuple[list[float], str]:
    """Samples as pytest-benchmark can take them, and the unit they are then in."""
    if unit == "ns":
        return [sample / _GIGA for sample in samples], "s"
    if unit == "bit/s":
        return [_GIGA / sample for sample in samples], "s/Gbit"
    if better == "higher":
        return [1 / sample for sample in samples], f"s/{unit.removesuffix('/s')}"
    return list(samples), unit


def quieten(config: pytest.Config) -> None:
    """Leave pytest-benchmark's own tables, dozens, to those who ask for one of its displays."""
    option = config.option
    asked = option.benchmark_compare or option.benchmark_histogram or option.benchmark_columns
    option.benchmark_quiet = option.benchmark_quiet or not asked


def enter(benchmark: Any, comparison: Comparison, label: str) -> None:
    """Enter one arm's raw samples as a benchmark; measures nothing itself."""
    REPLAY.load([0.0])
    if label in comparison.inapplicable:
        benchmark.pedantic(pytest.skip, args=(f"{label}: {comparison.inapplicable[label]}",))
    if label not in comparison.arms or not comparison.arms[label].measured:
        # In its hands, else it warns that it was not used.
        benchmark.pedantic(pytest.fail, args=(f"no sample of {label}: {comparison}", False))
    arm, verdict = comparison.arms[label], comparison.verdict_of(label)
    samples, unit = durations(arm.flat, comparison.unit, comparison.better)
    benchmark.group = f"{comparison.measure} {comparison.place}"
    benchmark.extra_info.update(
        arm=label,
        nodes=arm.nodes,
        measure=comparison.described,
        unit=unit,
        shown=units.shown(arm.typical, comparison.unit),
        median=median(arm.flat),
        measured_in=comparison.unit,
        **arm.percentiles,
    )
    if comparison.unit == "bit/s" and arm.typical is not None:
        benchmark.extra_info["gbit_per_second"] = arm.typical / 1e9
    if comparison.partial is not None:
        benchmark.extra_info["partial"] = comparison.partial
    elif verdict is not None:
        benchmark.extra_info["verdict"] = str(verdict)
    REPLAY.load(samples)
    benchmark.pedantic(lambda: None, rounds=len(samples), iterations=1)
