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
import threading
from types import TracebackType

from harness.bpf import syscall
from harness.bpf.module import Module, Source

_SOURCE = Source(("backlog.c",))


class BacklogCounter:
    """Counts the enqueues that happen on the calling thread's time, while the context is open.

    A send runs its whole path in the softirq that ends it, on the sender's time: so the sender's
    thread id tells this test's packets from all others of the machine.
    """

    def __init__(self) -> None:
        self._module = Module(_SOURCE, {"count_enqueue": syscall.PROG_TYPE_RAW_TRACEPOINT})
        self._link = -1

    def __enter__(self) -> BacklogCounter:
        self._module.table("thread")[ctypes.c_int(0)] = ctypes.c_uint32(threading.get_native_id())
        self._link = self._module.attach_raw_tracepoint("count_enqueue", "netif_rx")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._link)
        self._module.close()

    def read(self) -> int:
        """Enqueues since the context was entered."""
        return int(sum(self._module.table("enqueues")[ctypes.c_int(0)]))
