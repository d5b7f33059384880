# SPDX-License-Identifier: Apache-2.0
"""Measure: TCP connections opened, used and closed per second."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from harness.bench.measures.samples import Sampler, Turn, Usual
from harness.bench.rounds import Plan
from harness.results.part import Better
from harness.testbed import Testbed
from harness.topology import Family
from harness.traffic.connections import Connections
from harness.traffic.cpus import held, one_cpu

_WARM_FLOW = 20
_ENTRIES = "/proc/sys/net/netfilter/nf_conntrack_count"


@dataclass(frozen=True)
class ConnectionRate(Usual):
    """connect(), one byte each way, close(): both ends in one thread on one CPU, no wake-up.

    Every connection is a new flow: the legacy path goes through its rules and makes a conntrack
    entry for each. Entries outlive their connection by two minutes; how many the nodes have by the
    end of a turn is among the side figures. A build makes no more than a few thousand, and they go
    with its namespaces.

    Attributes:
        connections: In a turn.
    """

    connections: int = 100
    name: ClassVar[str] = "connections"
    unit: ClassVar[str] = "connections/s"
    better: ClassVar[Better] = "higher"
    plan: ClassVar[Plan] = Plan(builds=28, rounds=6)

    def describe(self) -> str:
        """Protocol and how it is done."""
        return (
            "TCP connect, 1 B each way, close, one after the other, inline on one CPU,"
            f" {self.connections} a turn"
        )

    @contextmanager
    def opened(self, testbed: Testbed, family: Family) -> Iterator[Sampler]:
        """Listen, and warm up; a turn is `connections` samples."""
        cpu = one_cpu()
        with Connections(*testbed.ends(family)) as connections:

            def turn() -> Turn:
                with held(cpu):
                    found = connections.burst(self.connections)
                # To a thousandth: a record has many, and no deadline lets one come to 0.
                rates = [round(1e9 / nanoseconds, 3) for nanoseconds in found]
                return Turn(rates, {"conntrack_entries": _conntrack_entries(testbed)})

            with held(cpu):
                connections.burst(_WARM_FLOW)
            yield turn


def _conntrack_entries(testbed: Testbed) -> float:
    """Entries on all nodes; 0 where no conntrack is loaded."""
    found = 0
    for node in testbed.network.nodes:
        try:
            found += int(node.ns.read(_ENTRIES))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
    return float(found)
