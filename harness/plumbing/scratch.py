# SPDX-License-Identifier: Apache-2.0
"""Directories that last as long as their process; those of a killed one are reaped.

Their owner holds a lock (flock(2)) on the directory itself, which the kernel drops with the
process: what can be locked has no owner any more. A pid would not tell, as pids are reused, and
another container may share the directory but not the pids.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

_PREFIX = "hostroute-scratch-"
_held: dict[Path, int] = {}


def _lock(path: Path) -> int | None:
    """Lock a directory of ours; None: it is another user's, gone, or in use."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if os.fstat(fd).st_uid == os.geteuid():
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
    except OSError:
        pass
    os.close(fd)
    return None


def reap() -> list[Path]:
    """Remove the directories that killed processes left; returns them."""
    removed = []
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        fd = _lock(path)
        if fd is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(fd)
            removed.append(path)
    return removed


def make(purpose: str) -> Path:
    """A new directory, named for its purpose; `remove` it, or leave that to the process's end."""
    if not _held:
        atexit.register(_remove_all)
        reap()
    while True:
        path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{purpose}-"))
        fd = _lock(path)
        if fd is not None and path.is_dir():
            _held[path] = fd
            return path
        if fd is not None:  # another process's `reap` came between the two calls
            os.close(fd)


def remove(path: Path) -> None:
    """Remove a directory that `make` returned."""
    shutil.rmtree(path, ignore_errors=True)
    os.close(_held.pop(path))


def _remove_all() -> None:
    for path in list(_held):
        remove(path)
