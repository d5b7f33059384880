# SPDX-License-Identifier: Apache-2.0
"""Instructions instead of time: what a datapath costs in a guest whose clock counts them.

With `-icount shift=0` and one CPU, QEMU's clock moves by a nanosecond for each instruction the
guest executes. A duration then is a number of instructions, the same on a busy machine and on a
quiet one, to a thousandth. It says nothing of caches, branches predicted wrong or parallelism.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from statistics import median

from harness.bpf.run_time import measuring
from harness.datapath import Datapath, NodeSettings
from harness.plumbing.errors import InapplicableError, KernelError, TrafficError
from harness.results import ExactFigure
from harness.results.part import family_name, pod_device
from harness.testbed import Testbed
from harness.testbed.programs import TC_ACT_REDIRECT, hook_of
from harness.topology import Family, Topology
from harness.traffic.headers import udp_frame
from harness.traffic.inline import InlineFlow

#: Set in a guest whose clock counts instructions.
VARIABLE = "HOSTROUTE_COUNTING"
SIZE = 64  # bytes of payload
_WARM, _BURSTS, _TRIPS = 500, 12, 100
_RUNS = 15
#: Each repetition takes one from the TTL, so that no more than 254 measure the same path.
_REPEAT = 200
#: What is counted: a round trip of UDP between two pods; and, by BPF_PROG_TEST_RUN, the program
#: that redirects what the first of them sends.
ROUND_TRIP, PROGRAM = "round trip", "program cost"
UNIT = "instructions"


def check_counting() -> None:
    """Refuse where the clock shows time.

    Raises:
        KernelError: This is no guest whose clock counts instructions.
    """
    if os.environ.get(VARIABLE) != "1":
        raise KernelError(
            "the clock of this machine shows time, not instructions",
            "use `hostroute kernels bench --exact`, which boots a guest that counts",
        )


def measure(
    datapath: Datapath, testbed: str, topology: Topology, settings: NodeSettings,
    say: Callable[[str], None] = lambda _line: None,
) -> Iterator[ExactFigure]:  # fmt: skip
    """Build the testbed, and take every figure of a datapath on it.

    Args:
        datapath: What the nodes run.
        testbed: The testbed's name, for the figures.
        topology: What it is made of.
        settings: Every node's.
        say: Told, in a line, of a figure that means nothing for the datapath, and why.

    Raises:
        KernelError: A node cannot run the datapath.
        TrafficError: A packet was lost, or a program did another thing than redirect it.
    """
    with (
        measuring("instructions"),
        Testbed(topology, datapath, settings=settings, name=testbed, insist=True) as built,
    ):
        for family in Family:
            for figure, take in ((ROUND_TRIP, _round_trip), (PROGRAM, _program)):
                try:
                    value = take(built, family)
                except InapplicableError as error:
                    where = f"{testbed} {family_name(family)} {datapath.name}"
                    say(f"{figure} {where}: does not apply: {error}")
                    continue
                yield ExactFigure(
                    datapath=datapath.name, family=family_name(family), testbed=testbed,
                    figure=figure, value=value, unit=UNIT,
                    pod_device=pod_device(built.topology.pod_device),
                )  # fmt: skip


def _round_trip(testbed: Testbed, family: Family) -> float:
    """Instructions from the first pod to the last and back, the four system calls among them."""
    gc.collect()
    with InlineFlow(*testbed.ends(family), "udp", SIZE) as flow:
        flow.burst(_WARM)
        # One trip in 150 has a timer's interrupt in it: the median has none.
        return median(median(flow.burst(_TRIPS)) for _ in range(_BURSTS))


def _program(testbed: Testbed, family: Family) -> float:
    """Instructions of the program that redirects what a pod sends, without hook and redirect.

    Raises:
        InapplicableError: There is none.
    """
    client, server = testbed.network.pods[0], testbed.network.pods[-1]
    addresses = client.addresses[family], server.addresses[family]
    frame = udp_frame(family, (client.mac, client.lxc_mac), addresses, SIZE, ttl=255)
    hook = hook_of(client, frame)
    with hook.redirecting() as program:
        runs = [hook.run(program, _REPEAT) for _ in range(_RUNS)]
    if {run.action for run in runs} != {TC_ACT_REDIRECT}:
        raise TrafficError(
            f"{program.name} of {testbed.datapaths[0].asked} did not redirect the test packet every"
            f" time ({', '.join(str(run.action) for run in runs[:3])}, …)"
        )
    return median(run.nanoseconds for run in runs)
