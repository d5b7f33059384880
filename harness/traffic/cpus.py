# SPDX-License-Identifier: Apache-2.0
"""Which CPUs traffic is pinned to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from harness.plumbing.errors import TrafficError
from harness.traffic.fence import pinned


def one_cpu() -> int:
    """The CPU for traffic of a single thread: the last that is allowed.

    The first takes most of a machine's interrupts.
    """
    return max(os.sched_getaffinity(0))


def two_cpus() -> tuple[int, int]:
    """The client's and the server's CPU, for traffic between two processes that must not share one.

    Raises:
        TrafficError: Only one is allowed.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise TrafficError(
            f"this needs two CPUs, and only {allowed} is allowed here", "see cpuset(7)"
        )
    return allowed[-1], allowed[0]


@contextmanager
def held(cpu: int) -> Iterator[None]:
    """Keep the calling thread on a CPU, and make sure that it stayed there.

    A CPU that goes offline loses its threads to the others without an error (cpuset(7)).

    Raises:
        TrafficError: The kernel refuses, or took the CPU away meanwhile.
    """
    with pinned(cpu):
        yield
        if os.sched_getaffinity(0) != {cpu}:
            raise TrafficError(
                f"CPU {cpu} was taken away in mid-measurement (hot-unplugged, or a new cpuset)",
                "measure on CPUs that stay",
            )
