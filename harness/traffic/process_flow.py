# SPDX-License-Identifier: Apache-2.0
"""Round trips between two processes, each asleep until a packet wakes it. Floor 4.

What two pods do: the sender's softirq carries the packet to the receiver's socket and wakes it. On
two CPUs the wake-up is the larger part of the time it takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.netns import NetNS
from harness.topology import Family
from harness.traffic.samples import checked
from harness.traffic.sockets import Connected, let_block, udp_pair
from harness.traffic.workers import workers


@dataclass(frozen=True)
class Burst:
    """Round trips, one after the other.

    Attributes:
        durations: Nanoseconds of each, from before send() to after the reply's recv().
        cpu: CPU time of both processes, nanoseconds, softirqs on their backs included; 0 if it was
            not asked for.
        user: The part of it in user space, as sampled by the kernel's tick.
    """

    durations: list[int]
    cpu: int = 0
    user: int = 0


class ProcessFlow(Connected):
    """Two connected UDP sockets, and a worker process for each.

    Attributes:
        name: What it is called in errors.
    """

    def __init__(
        self,
        client: NetNS,
        server: NetNS,
        family: Family,
        addresses: tuple[str, str],
        cpus: tuple[int, int],
        size: int = 1,
    ) -> None:
        """Connect.

        Args:
            client: The namespace that asks.
            server: The namespace that answers.
            family: Of both addresses.
            addresses: The client's and the server's.
            cpus: The CPU of the client's process and of the server's; they may share one.
            size: Payload of request and of reply, bytes.

        Raises:
            TrafficError: The sockets cannot be had.
        """
        self.name = f"{client.name} > {server.name} {family.name} UDP {size} B"
        self._who = (f"client in {client.name}", f"server in {server.name}")
        self._cpus, self._size = cpus, size
        super().__init__(udp_pair(client, server, family, addresses), let_block)

    def burst(self, trips: int, cpu_time: bool = False) -> Burst:
        """Do `trips` round trips.

        Args:
            trips: How many.
            cpu_time: Count the CPU time of both processes.

        Raises:
            TrafficError: A packet was lost, a process died or lost its CPU, or the clock erred.
        """
        spec: dict[str, Any] = {"cpu_time": cpu_time, "trips": trips, "size": self._size}
        with workers("client", "server") as (client, server):
            server.begin("answer", self._who[1], self.ends[1:], self._cpus[1:], **spec)
            client.begin("ask", self._who[0], self.ends[:1], self._cpus[:1], **spec)
            asked, answered = client.result(), server.result()
        durations = checked(asked["durations"], f"{self._who[0]}, {self.name}")
        if not cpu_time:
            return Burst(durations)
        spent = [found["cpu"] for found in (asked, answered)]
        return Burst(
            durations, sum(cpu["total"] for cpu in spent), sum(cpu["user"] for cpu in spent)
        )
