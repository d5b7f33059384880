# SPDX-License-Identifier: Apache-2.0
"""Kernel splats: WARN, BUG, Oops, lockdep in the log since a moment.

The log is the machine's: other reports with a call trace in it (an OOM kill, a hung task, a failed
page allocation, SysRq) say nothing about the kernel's network code. A log that cannot be read, or a
file that is not the kernel's log, is a failure of the check, never a pass.
"""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from harness.plumbing.errors import PrivilegeError

KMSG = "/dev/kmsg"
#: Its device number, of Documentation/admin-guide/devices.txt.
KMSG_DEVICE = os.makedev(1, 11)
#: A record of /dev/kmsg: priority, sequence number, microseconds, flags; then the text.
_RECORD = re.compile(r"(\d+),\d+,\d+,[^;]*;(.*)")
#: How a splat begins: kernel/panic.c, lib/bug.c, arch/*/kernel/traps.c, kernel/locking/lockdep.c,
#: lib/refcount.c, lib/ubsan.c, mm/kasan/report.c, kernel/rcu/tree_stall.h, kernel/watchdog.c,
#: net/core/dev.c, net/core/skbuff.c. A console puts the time before it.
_SPLAT = re.compile(
    r"^(?:<\d+>)?(?:\[[^\]]*\]\s*)*(?:WARNING: |BUG: |kernel BUG at|Oops: |Oops - |"
    r"general protection fault|Internal error: |UBSAN: |KASAN: |KCSAN: |refcount_t: |"
    r"unregister_netdevice: waiting for|rcu: INFO: .*stall|watchdog: BUG: |"
    r"(?:skbuff: )?skb_(?:over|under)_panic|\S+: hw csum failure)"
)
_PERIOD = 1.0  # seconds
_LINES = 20  # of a splat that are kept, with its first


def find_splats(lines: list[str]) -> list[str]:
    """The lines that begin a splat."""
    return [line for line in lines if _SPLAT.search(line)]


class KernelLog:
    """The kernel's log from now on; what was read stays known, so that no ring is too small."""

    def __init__(self, path: str = KMSG, device: int | None = KMSG_DEVICE) -> None:
        """Open the log at its end; that it cannot be read, `splats` says.

        Args:
            path: Where it is.
            device: The character device that it must be; None: any file, as a test writes it.
        """
        self._splats: list[list[str]] = []
        self._overwritten = False
        self._unreadable = ""
        self._reading = threading.Lock()
        self._fd = -1
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            if device is not None:
                self._unreadable = self._impostor(path, device)
            os.lseek(self._fd, 0, os.SEEK_END)
        except OSError as error:
            self._unreadable = f"{path}: {error.strerror}"

    def _impostor(self, path: str, device: int) -> str:
        """Why this is not the kernel's log; "": it is.

        A container may have something else there: /dev/null, a console, a file.
        """
        status = os.fstat(self._fd)
        if not stat.S_ISCHR(status.st_mode) or status.st_rdev != device:
            return f"{path} is another file, not the device {os.major(device)}:{os.minor(device)}"
        while True:
            try:
                oldest = os.read(self._fd, 8192).decode(errors="replace")
            except BrokenPipeError:  # overwritten at this moment: the next is the oldest now
                continue
            return "" if _RECORD.match(oldest) else f"{path} gives no records of the kernel's log"

    def collect(self) -> None:
        """Read what is new, before the kernel overwrites it."""
        with self._reading:
            self._read()

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Have it collected every second: what else runs here fills a ring of 256 KiB in twenty."""
        ended = threading.Event()

        def collecting() -> None:
            while not ended.wait(_PERIOD):
                self.collect()

        thread = threading.Thread(target=collecting, name="read the kernel's log", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _read(self) -> None:
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
            self._take(record.decode(errors="replace").split("\n", 1)[0])

    def _take(self, record: str) -> None:
        """Keep a record that begins a splat, or that follows one."""
        found = _RECORD.match(record)
        if found is None or int(found[1]) >> 3:  # a program's own: its facility is not 0
            return
        if _SPLAT.search(found[2]):
            self._splats.append([found[2]])
        elif self._splats and len(self._splats[-1]) < _LINES:
            self._splats[-1].append(found[2])

    def splats(self) -> list[str]:
        """Splats since opening: each its first line and those that followed it in the log.

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
        return ["\n".join(lines) for lines in self._splats]

    def close(self) -> None:
        """Close the log."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
