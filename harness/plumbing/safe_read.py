# SPDX-License-Identifier: Apache-2.0
"""Reads files that others wrote: regular ones only, of a bounded size, without waiting."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # opening a FIFO would wait


def read(path: Path, limit: int, *, follow: bool = False, tail: bool = False) -> bytes:
    """What is in a file.

    Args:
        path: To it.
        limit: Bytes.
        follow: Whether it may be a link.
        tail: Whether of a larger file its end is returned; else it is refused.

    Raises:
        OSError: It cannot be read, is no regular file, or is larger; `strerror` says so.
    """
    with os.fdopen(_open(path, follow=follow), "rb") as file:
        length = os.fstat(file.fileno()).st_size
        if length > limit and not tail:
            raise OSError(errno.EFBIG, f"larger than {limit >> 20} MiB", str(path))
        file.seek(max(0, length - limit))
        return file.read(min(length, limit))  # no more, should it grow meanwhile


def text(path: Path, limit: int, *, tail: bool = False) -> str:
    """As `read`, as text; what is no UTF-8 is replaced."""
    return read(path, limit, tail=tail).decode(errors="replace")


def ends(path: Path, size: int) -> bytes:
    """So many bytes of a file's beginning and of its end; all of a smaller file.

    Raises:
        OSError: It cannot be read, or is no regular file.
    """
    with os.fdopen(_open(path, follow=True), "rb") as file:
        length = os.fstat(file.fileno()).st_size
        if length <= 2 * size:
            return file.read(2 * size)
        first = file.read(size)
        file.seek(length - size)
        return first + file.read(size)


def _open(path: Path, *, follow: bool) -> int:
    handle = os.open(path, _FLAGS | (0 if follow else os.O_NOFOLLOW))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return handle
