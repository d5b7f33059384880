# SPDX-License-Identifier: Apache-2.0
"""Measure: the programs' run time on live traffic, from the kernel's BPF statistics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from harness.bench.arms import Arm
from harness.bench.measures.programs import attached_programs, entered_programs
from harness.bench.measures.samples import Sampler, Turn, Usual
from harness.bench.rounds import Plan
from harness.bpf.loaded import LoadedProgram
from harness.bpf.run_time import RunTime, run_time_statistics
from harness.plumbing.errors import InapplicableError, TrafficError
from harness.results.part import Better
from harness.testbed import Testbed
from harness.topology import Family
from harness.traffic.cpus import held, one_cpu
from harness.traffic.inline import InlineFlow

_WARM_FLOW = 300


@dataclass(frozen=True)
class ProgramRunTime(Usual):
    """run_time_ns over all programs, per packet of inline round trips. Only where programs run.

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
        """To arms that claim to have programs; whether they have, `opened` finds out."""
        return arm.has_programs

    @contextmanager
    def opened(self, testbed: Testbed, family: Family) -> Iterator[Sampler]:
        """Connect, and warm up; a turn is one sample.

        The kernel's statistics are on while it is open: to switch them rewrites kernel code on
        every CPU, which is no thing to do in each turn.

        Raises:
            InapplicableError: No program runs for what the client sends.
        """
        cpu, entered = one_cpu(), entered_programs(testbed)
        with (
            attached_programs(testbed) as programs,
            InlineFlow(*testbed.ends(family), "udp", self.size) as flow,
            run_time_statistics(measures_programs=True),
        ):

            def turn() -> Turn:
                with held(cpu):
                    before = _total(programs.values())
                    flow.burst(self.trips)
                    spent = _total(programs.values()) - before
                packets = 2 * self.trips
                if spent.runs < self.trips * a_trip:
                    raise TrafficError(
                        f"{spent.runs} program runs for {packets} packets on {testbed.name}, not"
                        f" {self.trips * a_trip} as at first",
                        "are the programs attached to every hook?",
                    )
                extra = {"runs_per_packet": spent.runs / packets}
                return Turn([spent.nanoseconds / packets], extra)

            at_first = {ident: program.run_time() for ident, program in programs.items()}
            with held(cpu):
                flow.burst(_WARM_FLOW)
            runs = {at: (programs[at].run_time() - former).runs for at, former in at_first.items()}
            _check_entered(testbed, sum(runs.get(ident, 0) for ident in entered))
            # Whatever else comes by, as an ARP exchange, can only add.
            a_trip = sum(runs.values()) // _WARM_FLOW
            yield turn


def _check_entered(testbed: Testbed, runs: int) -> None:
    """The programs that the client's packets come to must run for each of them."""
    if runs < _WARM_FLOW:
        client = testbed.network.pods[0]
        raise InapplicableError(
            f"the programs at {client.node.name}:{client.lxc} ingress ran {runs} times for"
            f" {_WARM_FLOW} packets"
        )


def _total(programs: Iterable[LoadedProgram]) -> RunTime:
    """Over all programs of all nodes."""
    total = RunTime(0, 0)
    for program in programs:
        total += program.run_time()
    return total
