# SPDX-License-Identifier: Apache-2.0
"""Measure: what the programs cost by themselves, by BPF_PROG_TEST_RUN."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

from harness.bench.arms import Arm
from harness.bench.measures.programs import installed_programs
from harness.bench.measures.samples import Sampler, Turn
from harness.bench.rounds import Plan
from harness.bpf.syscall import test_run as run_program
from harness.plumbing.errors import TrafficError
from harness.results.part import Better
from harness.testbed import Testbed
from harness.topology import Family, Node, Pod
from harness.traffic.cpus import held, one_cpu
from harness.traffic.headers import udp_frame

#: Each repetition takes one from the TTL, so that no more than 254 measure the same path.
_REPEAT = 200
_TTL = 255
# Verdicts of bpf/hostroute.h. One packet in a while goes through the neighbour layer: forward.c.
_LOCAL, _OFF_NODE, _PASSED = (frozenset(v) for v in (("local",), ("forward", "neigh"), ("pass",)))


@dataclass(frozen=True)
class _Stage:
    """One program on a packet's way, and the packet as it comes to it."""

    node: Node
    program: str
    ifname: str
    frame: bytes
    verdicts: frozenset[str]


@dataclass(frozen=True)
class ProgramCost:
    """Every program that a packet from the first pod to the last meets, run without a network.

    Neither the hook nor the redirect that follows is in it. Only for arms with programs.

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
        """To arms with programs."""
        return arm.has_programs

    @contextmanager
    def opened(self, testbed: Testbed, family: Family) -> Iterator[Sampler]:
        """Make the packets; a turn is `runs` samples."""
        cpu = one_cpu()
        stages = _stages(testbed, family, self.size)

        def turn() -> Turn:
            with held(cpu):
                return Turn(sum(_run(testbed, stage) for stage in stages) for _ in range(self.runs))

        for stage in stages:
            _prove(testbed, stage)
        yield turn

    def value(self, samples: list[float]) -> float:
        """The mean of the lower half: the kernel gives whole nanoseconds, too coarse for one."""
        return fmean(sorted(samples)[: (len(samples) + 1) // 2])


def _run(testbed: Testbed, stage: _Stage) -> int:
    """Nanoseconds of one packet at one stage."""
    fd = installed_programs(testbed)[stage.node.name].module.fd(stage.program)
    try:
        with stage.node.ns:
            run = run_program(fd, stage.frame, _REPEAT, stage.node.ifindex(stage.ifname))
    except OSError as error:
        raise TrafficError(
            f"{stage.program} on {stage.node.name}: BPF_PROG_TEST_RUN failed ({error.strerror})"
        ) from None
    return run.nanoseconds


def _prove(testbed: Testbed, stage: _Stage) -> None:
    """Make sure, by the program's own counters, that the packet takes the path to be measured."""
    installed = installed_programs(testbed)[stage.node.name]
    before = installed.counters()
    _run(testbed, stage)
    found = {verdict for _, verdict in (installed.counters() - before).hits}
    if not found or not found <= stage.verdicts:
        raise TrafficError(
            f"{stage.program} on {stage.node.name}: its verdict on the test packet is"
            f" {', '.join(sorted(found)) or 'none'}, not {' or '.join(sorted(stage.verdicts))}",
            "it would be another path that is measured",
        )


def _stages(testbed: Testbed, family: Family, size: int) -> list[_Stage]:
    """The programs from the first pod to the last, in order."""
    client, server = testbed.network.pods[0], testbed.network.pods[-1]
    there = _frame(client, server, family, size, client.mac, client.lxc_mac)
    if client.node is server.node:
        return [_Stage(client.node, "from_container", client.lxc, there, _LOCAL)]
    uplinks = client.node.uplink, server.node.uplink
    macs = (node.macs[node.uplink] for node in (client.node, server.node))
    wire = _frame(client, server, family, size, *macs)
    return [
        _Stage(client.node, "from_container", client.lxc, there, _OFF_NODE),
        _Stage(client.node, "to_netdev", uplinks[0], wire, _PASSED),
        _Stage(server.node, "from_netdev", uplinks[1], wire, _LOCAL),
    ]


def _frame(
    client: Pod, server: Pod, family: Family, size: int, source: str, destination: str
) -> bytes:
    addresses = client.addresses[family], server.addresses[family]
    return udp_frame(family, (source, destination), addresses, size, _TTL)
