# SPDX-License-Identifier: Apache-2.0
"""The kernel's own statistics of BPF programs: how often each ran, and for how long."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.bpf.syscall import _bpf
from harness.plumbing.errors import HarnessError, KernelError

# enum bpf_cmd and enum bpf_stats_type, uapi/linux/bpf.h.
_OBJ_GET_INFO_BY_FD, _ENABLE_STATS = 15, 32
_STATS_RUN_TIME = 0
# struct bpf_prog_info: run_time_ns and run_cnt follow each other.
_RUN_TIME_OFFSET = 192
_INFO_BYTES = 208


@dataclass(frozen=True)
class RunTime:
    """What a program did while the statistics were on.

    Attributes:
        nanoseconds: Time in it, the reading of the clock included.
        runs: How often it ran.
    """

    nanoseconds: int
    runs: int

    def __sub__(self, before: RunTime) -> RunTime:
        return RunTime(self.nanoseconds - before.nanoseconds, self.runs - before.runs)

    def __add__(self, other: RunTime) -> RunTime:
        return RunTime(self.nanoseconds + other.nanoseconds, self.runs + other.runs)


_measured: list[str] = []  # what this process measures at the moment
_users = 0  # how many of this process have the statistics on


@contextmanager
def measuring(what: str) -> Iterator[None]:
    """While the block runs, this process measures something: the statistics stay off.

    They slow down every program on the machine: an empty one takes 55 ns instead of 15 (measured
    on 6.18).

    Args:
        what: What is measured, for who is refused.

    Raises:
        HarnessError: The statistics are on.
    """
    if _users:
        raise HarnessError(
            f"{what} cannot be measured while BPF programs' runs are counted: that slows them",
            "leave the block of run_counts() first",
        )
    _measured.append(what)
    try:
        yield
    finally:
        _measured.pop()


@contextmanager
def run_time_statistics(*, measures_programs: bool = False) -> Iterator[None]:
    """Let the kernel time every BPF program of the machine while the block runs.

    BPF_ENABLE_STATS ties them to a descriptor, unlike the sysctl kernel.bpf_stats_enabled: they
    end with it, also after SIGKILL, and whoever else has them on keeps them.

    Args:
        measures_programs: They are the measurement: the only use while something is measured.

    Raises:
        HarnessError: Something is being measured: see `measuring`.
        KernelError: The kernel refuses.
    """
    global _users  # noqa: PLW0603 - they are the machine's, so one count is the process's
    if _measured and not measures_programs:
        raise HarnessError(
            f"BPF programs' runs cannot be counted while {_measured[-1]} is measured: that slows"
            " them",
            "call run_counts() before or after",
        )
    try:
        descriptor, _ = _bpf(_ENABLE_STATS, struct.pack("=I", _STATS_RUN_TIME))
    except OSError as error:
        raise KernelError(
            f"the kernel does not time BPF programs ({error.strerror})",
            "BPF_ENABLE_STATS came with Linux 5.8, and needs CAP_SYS_ADMIN",
        ) from None
    _users += 1
    try:
        yield
    finally:
        _users -= 1
        os.close(descriptor)


def program_run_time(fd: int) -> RunTime:
    """What a program's statistics hold so far."""
    info = ctypes.create_string_buffer(_INFO_BYTES)
    _bpf(_OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", fd, len(info), ctypes.addressof(info)))
    return RunTime(*struct.unpack_from("=QQ", info, _RUN_TIME_OFFSET))
