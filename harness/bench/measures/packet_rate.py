# SPDX-License-Identifier: Apache-2.0
"""Measure: UDP packets per second that arrive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from harness.bench.measures.samples import Sampler, Turn, Usual
from harness.bench.rounds import Plan
from harness.results.part import Better
from harness.testbed import Testbed
from harness.topology import Family
from harness.traffic.cpus import held, one_cpu
from harness.traffic.packets import BATCH, PacketFlow

_WARM_FLOW = 20
_WARM_TURN = 2


@dataclass(frozen=True)
class PacketRate(Usual):
    """Small datagrams, each a packet of its own, that one CPU brings from socket to socket.

    Not iperf3's UDP, which reads the clock, writes a header and makes a system call for every
    datagram, and so measures itself; and not between two CPUs, where waking the receiver costs
    the sender more than the path does. Sent is what the path takes: it cannot be overrun, since the
    sender's own softirq carries each packet to its end. What is lost on the way is told beside it.

    Attributes:
        size: Payload, bytes.
        batches: In a turn, of `BATCH` datagrams each.
    """

    size: int = 18  # the most that an Ethernet frame of 60 bytes holds, over IPv4
    batches: int = 50
    name: ClassVar[str] = "packet rate"
    unit: ClassVar[str] = "packets/s"
    better: ClassVar[Better] = "higher"
    plan: ClassVar[Plan] = Plan(builds=28, rounds=5)

    def describe(self) -> str:
        """Protocol, payload and how it is done."""
        return (
            f"UDP {self.size} B, 1 flow, sendmmsg and recvmmsg of {BATCH}, inline on one CPU,"
            f" {self.batches * BATCH} packets a turn"
        )

    @contextmanager
    def opened(self, testbed: Testbed, family: Family) -> Iterator[Sampler]:
        """Connect, and warm up; a turn is `batches` samples."""
        cpu = one_cpu()
        with PacketFlow(*testbed.ends(family), self.size) as flow:

            def turn() -> Turn:
                with held(cpu):
                    flow.volley(_WARM_TURN)
                    volley = flow.volley(self.batches)
                return Turn(map(round, volley.rates), {"lost_percent": volley.lost_percent})

            with held(cpu):
                flow.volley(_WARM_FLOW)
            yield turn
