# SPDX-License-Identifier: Apache-2.0
"""Kernel splats: WARN, BUG, Oops, lockdep in the log since a moment.

A log that cannot be read is a failure of the check, never a pass.
"""

from __future__ import annotations

import os
import re

from harness.plumbing.errors import PrivilegeError

KMSG = "/dev/kmsg"
#: First words of every report that include/asm-generic/bug.h, lib/dump_stack.c and
#: kernel/locking/lockdep.c print.
_SPLAT = re.compile(
    r"WARNING: |BUG: |kernel BUG at|Oops: |general protection fault|Call Trace:|"
    r"possible recursive locking|circular locking|inconsistent lock state|suspicious RCU usage|"
    r"refcount_t: |UBSAN: |KASAN: |unregister_netdevice: waiting for|"
    r"skb_over_panic|hw csum failure|rcu: INFO: .*stall|watchdog: BUG"
)


def find_splats(lines: list[str]) -> list[str]:
    """The lines that begin a splat."""
    return [line for line in lines if _SPLAT.search(line)]


class KernelLog:
    """The kernel's log from now on; what was read stays known, so that no ring is too small."""

    def __init__(self, path: str = KMSG) -> None:
        """Open the log at its end; that it cannot be read, `splats` says."""
        self._splats: list[str] = []
        self._overwritten = False
        self._unreadable = ""
        self._fd = -1
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._fd, 0, os.SEEK_END)
        except OSError as error:
            self._unreadable = f"{path}: {error.strerror}"

    def collect(self) -> None:
        """Read what is new, before the kernel overwrites it."""
        lines: list[str] = []
        while self._fd >= 0 and not self._unreadable:
            try:
                record = os.read(self._fd, 8192)
            except BlockingIOError:
                break
            except BrokenPipeError:
                self._overwritten = True
                continue
            except OSError as error:
                self._unreadable = str(error.strerror)
                break
            if not record:
                break
            prefix, _, text = record.decode(errors="replace").partition(";")
            if _from_the_kernel(prefix):
                lines.append(text.split("\n", 1)[0])
        self._splats += find_splats(lines)

    def splats(self) -> list[str]:
        """Splats since opening.

        Raises:
            PrivilegeError: The log cannot be read, or lines were overwritten before they were:
                nothing is proven.
        """
        self.collect()
        if self._unreadable:
            raise PrivilegeError(
                f"the kernel's log cannot be read ({self._unreadable})",
                "run as root with SYSLOG, or pass /dev/kmsg into the container",
            )
        if self._overwritten:
            raise PrivilegeError(
                "the kernel's log was overwritten before it was read",
                "boot with a larger log_buf_len",
            )
        return list(self._splats)

    def close(self) -> None:
        """Close the log."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _from_the_kernel(prefix: str) -> bool:
    """Whether a record's priority has facility 0; others wrote to /dev/kmsg themselves."""
    priority = prefix.split(",", 1)[0]
    return not priority.isdigit() or int(priority) >> 3 == 0
