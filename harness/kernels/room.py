# SPDX-License-Identifier: Apache-2.0
"""What this machine must have for guests: programs, memory, a place for results. Floor 7."""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import GuestError, RecordError
from harness.kernels.guest import check_paths
from harness.kernels.tools import find_tool, qemu, virtme_run
from harness.safe_path import open_directory

_QEMU_OVERHEAD = 300  # MiB: QEMU's own, and what it translates


def check_tools() -> None:
    """Refuse to begin where a guest cannot be run.

    Raises:
        MissingToolError: A program is missing, and which package holds it.
    """
    qemu()
    virtme_run()
    for name in ("busybox", "file", "modprobe", "depmod", "mkfs.ext4"):
        find_tool(name)


def at_once(asked: int, memory: int) -> int:
    """How many guests run at once: no more than asked, than cores, than there is memory for.

    Raises:
        GuestError: There is no memory for a single one.
    """
    free = _available_memory()
    room = free // (memory + _QEMU_OVERHEAD)
    if room < 1:
        raise GuestError(
            f"{free} MiB of memory are free, a guest takes {memory + _QEMU_OVERHEAD}",
            "end something, or give it less with --memory",
        )
    return max(1, min(asked, len(os.sched_getaffinity(0)), room))


def _available_memory() -> int:
    """MiB."""
    with open("/proc/meminfo", encoding="ascii") as file:
        fields = dict(line.split(":") for line in file)
    return int(fields["MemAvailable"].split()[0]) // 1024


def new_directory(results: Path) -> Path:
    """A directory of this run's own below `results`/kernels.

    Raises:
        GuestError: Its path is not one that a guest can be given.
        RecordError: It cannot be made.
    """
    stem = f"kernels-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    path = results.absolute() / "kernels" / stem
    check_paths(path)
    try:
        # Guarded: QEMU is told the path, and opens it later.
        above = open_directory(results / "kernels", make=True, guarded=True)
        try:
            os.mkdir(stem, dir_fd=above)
        finally:
            os.close(above)
    except OSError as error:
        raise RecordError(f"results cannot be written to {path} ({error.strerror})",
                          "use --results DIR") from None  # fmt: skip
    return path
