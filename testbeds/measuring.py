# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of every testbed share; their fixtures are in harness/plugin/bench.py."""

from __future__ import annotations

import time
from contextlib import closing
from statistics import median
from typing import Any

from harness.bench import MEASURES, Arm, Comparison, Task, Verdict
from harness.datapath import NodeSettings
from harness.netns import NetNS
from harness.topology import Family, Network
from testbeds import find

#: In what `bpf` must beat `legacy`, on every testbed and in both families.
#: The measure that repeats best, for controls of the comparison itself.
ROUND_TRIP = "round-trip-udp"
BEATEN = ("round-trip-udp", "round-trip-tcp", "throughput-tcp")
BUILDS = 30
#: A build takes 11 times as long as its bare namespaces do here. One that waits for something,
#: such as a carrier or duplicate address detection, takes hundreds of times as long.
BUILD_LIMIT = 60


def arm(datapath: str, testbed: str, settings: NodeSettings | None = None) -> Arm:
    """The arm of that datapath on a testbed."""
    return Arm(datapath, testbed, find(testbed), settings or NodeSettings())


def task(key: str, family: Family) -> Task:
    """A measure in a family."""
    return Task(key, MEASURES[key], family)


def failing(comparison: Comparison, required: str | None) -> list[str]:
    """Arms of which a verdict is not as `--require` has it, each with its verdict."""
    if required is None:
        return []
    faster = required == "faster"
    return [
        f"{label}: {judgement}"
        for label, judgement in comparison.judgements.items()
        if (
            judgement.verdict is not Verdict.FASTER
            if faster
            else judgement.verdict is Verdict.SLOWER
        )
    ]


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
