# SPDX-License-Identifier: Apache-2.0
"""Measure: the programs' run time on live traffic, from the kernel's BPF statistics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from harness.bench.arms import Arm
from harness.bench.measures.programs import installed_programs
from harness.bench.measures.samples import Sampler, Turn, Usual
from harness.bench.rounds import Plan
from harness.bpf.run_time import RunTime, program_run_time, run_time_statistics
from harness.datapath.bpf import PROGRAMS
from harness.plumbing.errors import TrafficError
from harness.results.part import Better
from harness.testbed import Testbed
from harness.topology import Family
from harness.traffic.cpus import held, one_cpu
from harness.traffic.inline import InlineFlow

_WARM_FLOW = 300
_HOOKS_APART = 3  # from_container, to_netdev and from_netdev, where client and server are apart


@dataclass(frozen=True)
class ProgramRunTime(Usual):
    """run_time_ns over all programs, per packet of inline round trips. Only for arms with programs.

    The kernel reads its clock before and after every run, and what that takes is in the number: it
    compares program with program, and is no share of a round trip measured without it.

    Attributes:
        size: Payload of request and of reply, bytes.
        trips: Round trips in a turn.
    """

    size: int = 64
    trips: int = 200
    name: ClassVar[str] = "program run time"
    unit: ClassVar[str] = "ns"
    better: ClassVar[Better] = "lower"
    plan: ClassVar[Plan] = Plan(builds=28, rounds=5)

    def describe(self) -> str:
        """Traffic and how it is done."""
        return (
            f"run_time_ns of all programs for a packet, UDP {self.size} B round trips inline on one"
            f" CPU, {self.trips} a turn"
        )

    def applies(self, arm: Arm) -> bool:
        """To arms with programs."""
        return arm.has_programs

    @contextmanager
    def opened(self, testbed: Testbed, family: Family) -> Iterator[Sampler]:
        """Connect, and warm up; a turn is one sample.

        The kernel's statistics are on while it is open: to switch them rewrites kernel code on
        every CPU, which is no thing to do in each turn.
        """
        cpu = one_cpu()
        with (
            InlineFlow(*testbed.ends(family), "udp", self.size) as flow,
            run_time_statistics(measures_programs=True),
        ):

            def turn() -> Turn:
                with held(cpu):
                    before = _total(testbed)
                    flow.burst(self.trips)
                    spent = _total(testbed) - before
                packets = 2 * self.trips
                if spent.runs < packets * (1 if testbed.topology.nodes == 1 else _HOOKS_APART):
                    raise TrafficError(
                        f"{spent.runs} program runs for {packets} packets on {testbed.name}",
                        "are the programs attached to every hook?",
                    )
                extra = {"runs_per_packet": spent.runs / packets}
                return Turn([spent.nanoseconds / packets], extra)

            with held(cpu):
                flow.burst(_WARM_FLOW)
            yield turn


def _total(testbed: Testbed) -> RunTime:
    """Over all programs of all nodes."""
    total = RunTime(0, 0)
    for installed in installed_programs(testbed).values():
        for name in PROGRAMS:
            total += program_run_time(installed.module.fd(name))
    return total
