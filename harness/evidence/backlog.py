# SPDX-License-Identifier: Apache-2.0
"""Backlog enqueues, from the raw tracepoint net:netif_rx: the softirq hop that is saved. Floor 5.

NET_RX softirq counts and /proc/net/softnet_stat do not move between the paths: one softirq
drains the whole chain, and `another_round` counts a packet again. What moves is how often a
packet enters a CPU's backlog: 4 times a round trip between two pods of a node on the stack, twice
with bpf_redirect_peer.
"""

from __future__ import annotations

import ctypes
import os
from types import TracebackType

from harness.bpf import pool, syscall
from harness.bpf.source import Source

_SOURCE = Source(("backlog.c",))


class BacklogCounter:
    """Counts the packets that enter one CPU's backlog while the context is open.

    Whose packets they are the tracepoint does not say: traffic of others on that CPU can only add.
    The smallest of several rounds on a pinned CPU is therefore the path's own.
    """

    def __init__(self, cpu: int) -> None:
        """Load the program.

        Args:
            cpu: The CPU whose backlog counts.

        Raises:
            BuildError: The kernel refuses raw tracepoint programs.
        """
        self._cpu = cpu
        self._module = pool.take(_SOURCE, {"count_enqueue": syscall.PROG_TYPE_RAW_TRACEPOINT})
        self._start = 0
        self._link = -1

    def __enter__(self) -> BacklogCounter:
        try:
            self._start = self._total()
            self._link = self._module.attach_raw_tracepoint("count_enqueue", "netif_rx")
        except BaseException:
            pool.give_back(self._module)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._link)
        pool.give_back(self._module)

    def read(self) -> int:
        """Enqueues since the context was entered."""
        return self._total() - self._start

    def _total(self) -> int:
        return int(self._module.table("enqueues")[ctypes.c_int(0)][self._cpu])
