# SPDX-License-Identifier: Apache-2.0
"""The CPU time of this process, softirqs that ran on its back included.

perf_event_open(2)'s task clock counts the time the process is on a CPU, whatever runs there
meanwhile. CLOCK_PROCESS_CPUTIME_ID does so only on kernels that do not account interrupts apart
(CONFIG_IRQ_TIME_ACCOUNTING): on those that do, the softirq that carries a packet through the
datapath would be missing. /proc/stat would count everyone's, in steps of 10 ms.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
from dataclasses import asdict, dataclass

from .errors import JobError

_NR_PERF_EVENT_OPEN = {
    "x86_64": 298, "aarch64": 241, "riscv64": 241, "s390x": 331, "ppc64le": 319,
}  # fmt: skip
# struct perf_event_attr up to version 0: type, size, config, period, sample_type, read_format,
# flags, wakeup, bp_type, bp_addr (uapi/linux/perf_event.h).
_ATTRIBUTE = "=IIQQQQQIIQ"
_TYPE_SOFTWARE, _TASK_CLOCK = 1, 1
_INHERIT = 1 << 1  # threads and children too
_CLOEXEC = 1 << 3
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class CpuTime:
    """CPU time, nanoseconds.

    Attributes:
        total: On a CPU: user, system, and softirqs that interrupted either. Exact.
        user: The part in user space, as the kernel's tick samples it (every 1 to 10 ms).
        system: The part in the kernel, sampled likewise.
    """

    total: int
    user: int
    system: int

    def __sub__(self, before: CpuTime) -> CpuTime:
        total = self.total - before.total
        # The kernel spreads its samples over all of the process's life (cputime_adjust(),
        # kernel/sched/cputime.c): of a short time they may say more than there was.
        user, system = (min(part, total) for part in
                        (self.user - before.user, self.system - before.system))  # fmt: skip
        return CpuTime(total, user, system)

    def to_json(self) -> dict[str, int]:
        """For the answer."""
        return asdict(self)


class CpuClock:
    """Counts this process and the children and threads it starts from now on."""

    def __init__(self) -> None:
        """Open the counter.

        Raises:
            JobError: The kernel refuses.
        """
        size = struct.calcsize(_ATTRIBUTE)
        fields = (_TYPE_SOFTWARE, size, _TASK_CLOCK, 0, 0, 0, _INHERIT, 0, 0, 0)
        attribute = ctypes.create_string_buffer(struct.pack(_ATTRIBUTE, *fields), size)
        number = _NR_PERF_EVENT_OPEN.get(platform.machine(), -1)
        self._fd = _libc.syscall(number, attribute, 0, -1, -1, _CLOEXEC)
        if self._fd < 0:
            raise JobError(
                f"the kernel counts no CPU time for us (perf_event_open:"
                f" {os.strerror(ctypes.get_errno())}); CAP_PERFMON, or a container's seccomp"
                " profile that allows it, is needed"
            )

    def read(self) -> CpuTime:
        """The CPU time so far."""
        (total,) = struct.unpack("=Q", os.read(self._fd, 8))
        used = resource.getrusage(resource.RUSAGE_SELF)
        return CpuTime(total, round(used.ru_utime * 1e9), round(used.ru_stime * 1e9))

    def close(self) -> None:
        """Give the counter back."""
        os.close(self._fd)
