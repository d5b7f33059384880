# SPDX-License-Identifier: Apache-2.0
"""Measure: what the programs cost by themselves, by BPF_PROG_TEST_RUN."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

from harness.bench.arms import Arm
from harness.bench.measures.samples import Sampler, Turn
from harness.bench.rounds import Plan
from harness.bpf.contract import enums
from harness.bpf.loaded import LoadedProgram
from harness.plumbing.errors import TrafficError
from harness.results.part import Better
from harness.testbed import Testbed
from harness.testbed.programs import Hook, hook_of
from harness.topology import Family, Pod
from harness.traffic.cpus import held, one_cpu
from harness.traffic.headers import udp_frame

#: Each repetition takes one from the TTL, so that no more than 254 measure the same path.
_REPEAT = 200
_TTL = 255
# Verdicts of bpf/hostroute.h. One packet in a while goes through the neighbour layer: forward.c.
_LOCAL, _OFF_NODE, _PASSED = (frozenset(v) for v in (("local",), ("forward", "neigh"), ("pass",)))


@dataclass(frozen=True)
class _Stage:
    """One program on a packet's way, held by who opened it, and the packet as it comes to it."""

    hook: Hook
    program: LoadedProgram
    verdicts: frozenset[str]


@dataclass(frozen=True)
class ProgramCost:
    """Every program that a packet from the first pod to the last meets, run without a network.

    Of several on a hook the one that redirects it. Neither the hook nor the redirect that follows
    is in it. Only where a program redirects what the pod sends.

    Attributes:
        size: Payload of the UDP packet, bytes.
        runs: Test runs of each program in a turn.
    """

    size: int = 64
    runs: int = 20
    name: ClassVar[str] = "program cost"
    unit: ClassVar[str] = "ns"
    better: ClassVar[Better] = "lower"
    plan: ClassVar[Plan] = Plan(builds=28, rounds=3)

    def describe(self) -> str:
        """Packet and how it is done."""
        return (
            f"BPF_PROG_TEST_RUN, UDP {self.size} B, all programs on the way there, mean of"
            f" {_REPEAT}, {self.runs} a turn"
        )

    def applies(self, arm: Arm) -> bool:
        """To arms that claim to have programs; whether they have, `opened` finds out."""
        return arm.has_programs

    @contextmanager
    def opened(self, testbed: Testbed, family: Family) -> Iterator[Sampler]:
        """Make the packets; a turn is `runs` samples.

        Raises:
            InapplicableError: No program takes the packet where the pod hands it to its node.
        """
        cpu = one_cpu()
        with ExitStack() as stack:
            stages = _stages(stack, testbed, family, self.size)

            def turn() -> Turn:
                with held(cpu):
                    return Turn(sum(map(_run, stages)) for _ in range(self.runs))

            for stage in stages:
                _prove(testbed, stage)
            yield turn

    def value(self, samples: list[float]) -> float:
        """The mean of the lower half: the kernel gives whole nanoseconds, too coarse for one."""
        return fmean(sorted(samples)[: (len(samples) + 1) // 2])


def _run(stage: _Stage) -> int:
    """Nanoseconds of one packet at one stage."""
    return stage.hook.run(stage.program, _REPEAT).nanoseconds


def _prove(testbed: Testbed, stage: _Stage) -> None:
    """Make sure that the packet takes the path to be measured, where the programs count paths.

    Its return code is the same for a packet that is delivered and for one that is forwarded. The
    bundled programs count which it is; those that count nothing, or otherwise, are believed.
    """
    installed = testbed.datapath_of(stage.hook.node.name).installed
    before = installed.counters()
    _run(stage)
    found = {verdict for _, verdict in (installed.counters() - before).hits}
    found &= set(enums()["verdict"].values())
    if not found <= stage.verdicts:
        raise TrafficError(
            f"{stage.program.name} on {stage.hook.node.name}: its verdict on the test packet is"
            f" {', '.join(sorted(found))}, not {' or '.join(sorted(stage.verdicts))}",
            "it would be another path that is measured",
        )


def _stages(stack: ExitStack, testbed: Testbed, family: Family, size: int) -> list[_Stage]:
    """The programs from the first pod to the last, in order.

    Raises:
        InapplicableError: No program takes the packet where the pod hands it to its node, or it is
            dropped further on.
    """
    client, server = testbed.network.pods[0], testbed.network.pods[-1]
    there = _frame(client, server, family, size, client.mac, client.lxc_mac)
    apart = client.node is not server.node
    entered = hook_of(client, there)
    verdicts = _OFF_NODE if apart else _LOCAL
    stages = [_Stage(entered, stack.enter_context(entered.redirecting()), verdicts)]
    if not apart:
        return stages
    uplinks = client.node.uplink, server.node.uplink
    macs = (node.macs[node.uplink] for node in (client.node, server.node))
    wire = _frame(client, server, family, size, *macs)
    for hook, verdicts in (
        (Hook(client.node, uplinks[0], "egress", wire, client.lxc), _PASSED),
        (Hook(server.node, uplinks[1], "ingress", wire, uplinks[1]), _LOCAL),
    ):
        program = stack.enter_context(hook.taking())
        if program is not None:  # else there is none to pay for
            stages.append(_Stage(hook, program, verdicts))
    return stages


def _frame(
    client: Pod, server: Pod, family: Family, size: int, source: str, destination: str
) -> bytes:
    addresses = client.addresses[family], server.addresses[family]
    return udp_frame(family, (source, destination), addresses, size, _TTL)
