# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of every testbed share; their fixtures are in harness/plugin/bench.py."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, closing
from statistics import median
from typing import Any

from harness.bench import MEASURES, Arm, Task, bypass_against_stack
from harness.bpf.run_time import measuring
from harness.bpf.source import Patch
from harness.datapath import DATAPATHS, NodeSettings
from harness.datapath.bpf import HostRouting
from harness.plumbing.netns import NetNS
from harness.results.answer import Answer, answer
from harness.results.comparison import Comparison
from harness.testbed import Testbed
from harness.topology import TESTBEDS, Family
from harness.traffic.fence import pinned
from harness.traffic.inline import InlineFlow

#: The measure that repeats best, for controls of the comparison itself.
ROUND_TRIP = "round-trip-udp-1"
#: In what a bypass must beat the stack, on every testbed and in both families.
BEATEN = (
    "round-trip-udp-1", "round-trip-udp-1024", "round-trip-tcp-1", "round-trip-tcp-1024",
    "throughput-tcp-1", "throughput-tcp-4", "throughput-tcp-1-reverse", "throughput-tcp-4-reverse",
    "connections",
)  # fmt: skip
#: What is drawn against the number of pods and of services. Only a flow's first packet goes through
#: the services' rules: a round trip does not see them, a connection does.
GROWING = ("round-trip-udp-1", "connections", "program-cost")
BUILDS = 30
#: A build takes 11 times as long as its bare namespaces do here. One that waits for something,
#: such as a carrier or duplicate address detection, takes hundreds of times as long.
BUILD_LIMIT = 60


def arm(datapath: str, testbed: str, settings: NodeSettings | None = None) -> Arm:
    """The arm of that datapath on a testbed."""
    return Arm(datapath, testbed, TESTBEDS.find(testbed).topology, settings or NodeSettings())


def task(key: str, family: Family) -> Task:
    """A measure in a family."""
    return Task(key, MEASURES[key], family)


def required(comparison: Comparison, asked: str | None) -> list[Answer]:
    """What `--require` asks of every arm; nothing if it is not given."""
    verdicts = comparison.verdicts if asked is not None else []
    return [answer(comparison, each.arm, each.against, asked or "") for each in verdicts]


def beating(comparison: Comparison) -> list[Answer]:
    """Whether each arm that bypasses the stack is faster than each that does not."""
    pairs = bypass_against_stack(list(comparison.arms), comparison.baseline)
    return [answer(comparison, fast, slow) for fast, slow in pairs]


@measuring("a planted slowdown")
def planted_slowdown(share: float) -> HostRouting:
    """`bpf`, with a loop in local delivery that makes its round trip on one node longer.

    How many turns of the loop that takes is measured here, in interleaved bursts.

    Args:
        share: By how much longer, as a share.
    """
    plain, much = DATAPATHS["bpf"], 400
    ratios = []
    trial = _slowed(much)
    with ExitStack() as stack:
        bursts = []
        for datapath in (plain, trial):
            testbed = stack.enter_context(Testbed(TESTBEDS.find("one_node").topology, datapath))
            flow = InlineFlow(*testbed.ends(Family.ipv4))
            bursts.append(stack.enter_context(flow).burst)
        with pinned(max(os.sched_getaffinity(0))):
            for _ in range(50):
                fast, slow = (median(burst(100)) for burst in bursts)
                ratios.append(slow / fast)
    return _slowed(round(much * share / (median(ratios) - 1)))


def _slowed(turns: int) -> HostRouting:
    plain = DATAPATHS["bpf"]
    last = "#else\n\treturn redirected("
    loop = f"\tfor (int i = 0; i < {turns}; i++)\n\t\tbpf_get_prandom_u32();\n"
    patch = Patch("local_delivery.c", last, last.replace("\treturn", f"{loop}\treturn"))
    return HostRouting(f"bpf slowed by {turns} turns", plain.summary, plain.needs, patches=(patch,))


@measuring("building")
def measure_building(benchmark: Any, testbed: str, aim_ms: int) -> str:
    """Time building a testbed; between the rounds, its namespaces alone.

    Returns:
        What was found, a line.
    """
    topology = TESTBEDS.find(testbed).topology
    with Testbed(topology, None) as bare_testbed:
        names = [host.name for host in bare_testbed.network.hosts]
    built: list[Testbed] = []
    bare: list[float] = []

    def namespaces_alone() -> None:
        with ExitStack() as stack:
            start = time.perf_counter()
            for name in names:
                _ = stack.enter_context(closing(NetNS(name))).netlink
            bare.append(time.perf_counter() - start)

    benchmark.extra_info["aim_ms"] = aim_ms
    try:
        benchmark.pedantic(
            lambda: built.append(Testbed(topology, None)),
            setup=namespaces_alone, teardown=lambda: built.pop().close(),
            rounds=BUILDS, warmup_rounds=2,
        )  # fmt: skip
    finally:
        for each in built:
            each.close()
    if not benchmark.enabled:
        return f"build {testbed}: not timed"
    found, alone = benchmark.stats.stats.median, median(bare)
    benchmark.extra_info["namespaces_alone_ms"] = alone * 1000
    assert found < BUILD_LIMIT * alone, f"{found * 1000:.1f} ms, namespaces {alone * 1000:.1f} ms"
    return (
        f"build {testbed}: median {found * 1000:.1f} ms (aim {aim_ms} ms),"
        f" {found / alone:.1f} times its namespaces alone"
    )
