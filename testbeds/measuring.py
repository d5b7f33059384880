# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of every testbed share: their fixtures are in conftest.py beside this."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from statistics import median, quantiles
from typing import Any

from harness.bench import Arm, Comparison
from harness.bench.comparison import FIRST, SECOND
from harness.datapath import NodeSettings
from harness.netns import NetNS
from harness.topology import Network
from testbeds import find

BUILDS = 30
#: A build takes 11 times as long as its bare namespaces do here. One that waits for something,
#: such as a carrier or duplicate address detection, takes hundreds of times as long.
BUILD_LIMIT = 60


def arm(datapath: str, testbed: str, settings: NodeSettings) -> Arm:
    """The arm of that datapath on a testbed."""
    return Arm(datapath, testbed, find(testbed), settings)


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


def replay(benchmark: Any, comparison: Comparison, datapath: str) -> None:
    """Enter one arm's raw round trips into pytest-benchmark."""
    role = FIRST if comparison.arms[FIRST].datapath == datapath else SECOND
    samples = [
        sample / 1e9 for build in comparison.series[role] for turn in build for sample in turn
    ]
    cuts = quantiles(samples, n=1000)
    first, family = comparison.arms[FIRST], comparison.family
    benchmark.group = f"{comparison.measure.name} {first.testbed} {family.name}"
    benchmark.extra_info.update(
        arm=datapath,
        nodes=comparison.described[role],
        measure=comparison.measure.describe(),
        verdict=str(comparison),
        **{name: cuts[at - 1] for name, at in (("p50", 500), ("p99", 990), ("p99.9", 999))},
    )
    REPLAY.load(samples)
    benchmark.pedantic(lambda: None, rounds=len(samples), iterations=1)


def measure_building(benchmark: Any, testbed: str, aim_ms: int) -> str:
    """Time building a testbed; between the rounds, its namespaces alone.

    Returns:
        What was found, a line.
    """
    topology = find(testbed)
    with Network(topology) as network:
        names = [host.name for host in network.hosts]
    built: list[Network] = []
    bare: list[float] = []

    def namespaces_alone() -> None:
        start = time.perf_counter()
        spaces = [NetNS(name) for name in names]
        for space in spaces:
            _ = space.netlink
        bare.append(time.perf_counter() - start)
        for space in spaces:
            with closing(space):
                pass

    benchmark.extra_info["aim_ms"] = aim_ms
    benchmark.pedantic(
        lambda: built.append(Network(topology)),
        setup=namespaces_alone, teardown=lambda: built.pop().close(),
        rounds=BUILDS, warmup_rounds=2,
    )  # fmt: skip
    if not benchmark.enabled:
        return f"build {testbed}: not timed"
    found, alone = benchmark.stats.stats.median, median(bare)
    benchmark.extra_info["namespaces_alone_ms"] = alone * 1000
    assert found < BUILD_LIMIT * alone, f"{found * 1000:.1f} ms, namespaces {alone * 1000:.1f} ms"
    return (
        f"build {testbed}: median {found * 1000:.1f} ms (aim {aim_ms} ms),"
        f" {found / alone:.1f} times its namespaces alone"
    )
