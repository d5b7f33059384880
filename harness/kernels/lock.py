# SPDX-License-Identifier: Apache-2.0
"""Locks of what the user's cache holds, between processes. Floor 7.

flock(2): the kernel drops it with its holder, however that ends.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import KernelSourceError
from harness.safe_path import open_directory
from harness.signals import interruptible


@contextmanager
def locked(part: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold the lock of a part of the cache, a file or directory that need not exist.

    Args:
        part: What is locked. The lock is a file beside it, which stays: if it were removed, two
            could hold the lock of one part.
        how: As flock(2) takes it.

    Raises:
        BlockingIOError: `how` has LOCK_NB, and another holds it.
        KernelSourceError: The cache cannot be written.
    """
    try:
        make_directory(part.parent)
        fd = open_lock(part.with_name(f".lock-{part.name}"))
    except OSError as error:
        raise unwritable(part.parent, error) from None
    try:
        with interruptible():
            fcntl.flock(fd, how)
        yield
    finally:
        os.close(fd)


def open_lock(path: Path) -> int:
    """Open a file to lock, made if it is not there; no link is followed."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def make_directory(path: Path) -> None:
    """Make a directory of the cache that only this user may change, and those above it."""
    os.close(open_directory(path, make=True))


def unwritable(directory: Path, error: OSError) -> KernelSourceError:
    """What to say of a directory of the cache that cannot be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return KernelSourceError(
        f"the cache {directory} cannot be written ({error.strerror})",
        "make room with `hostroute kernels prune`, or set XDG_CACHE_HOME"
        if full
        else "set XDG_CACHE_HOME to a directory that can",
    )
