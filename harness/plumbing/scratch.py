# SPDX-License-Identifier: Apache-2.0
"""Directories that last as long as their process; those of a killed one are reaped.

Their owner holds a lock (flock(2)) on the directory itself, which the kernel drops with the
process: what can be locked has no owner any more. A pid would not tell, as pids are reused, and
another container may share the directory but not the pids.
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from harness.plumbing.errors import HarnessError

_PREFIX = "hostroute-scratch-"
_TRIES = 16  # directories made before giving up: another process's `reap` may take one or two
_held: dict[Path, int] = {}
os.register_at_fork(after_in_child=_held.clear)  # what a fork does not own it must not remove


def _lock(path: Path) -> int:
    """Lock a directory of ours.

    Raises:
        OSError: It is another user's, gone, in use, or cannot be locked at all.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        owner, ours = os.fstat(fd).st_uid, os.geteuid()
        if owner != ours:
            # Of one that we made: the file system squashes root, or knows other users than we.
            raise PermissionError(errno.EPERM, f"it belongs to user {owner}, not to {ours}")
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def reap() -> list[Path]:
    """Remove the directories that killed processes left; returns them."""
    removed: list[Path] = []
    try:
        found = list(Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"))
    except OSError:  # `make` will say
        return removed
    for path in found:
        try:
            fd = _lock(path)
        except OSError:
            continue
        # Follows no link, though another user put one into its place meanwhile.
        shutil.rmtree(path, ignore_errors=True)
        os.close(fd)
        removed.append(path)
    return removed


def make(purpose: str) -> Path:
    """A new directory, named for its purpose; `remove` it, or leave that to the process's end.

    Raises:
        HarnessError: The temporary directory takes none, or none that can be locked.
    """
    if not _held:
        atexit.register(_remove_all)
        reap()
    for _ in range(_TRIES):
        try:
            path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{purpose}-"))
        except OSError as error:
            where = f" as {error.filename}" if error.filename else ""
            raise _refused(f"no directory can be made{where} ({error.strerror})") from None
        fd = _lock_new(path)
        if fd is not None:
            _held[path] = fd
            return path
    raise _refused(f"{_TRIES} new directories in {path.parent} were taken by another process")


def _lock_new(path: Path) -> int | None:
    """Lock a directory that was just made, or remove it; None: another's `reap` came between.

    Raises:
        HarnessError: It cannot be locked.
    """
    try:
        fd = _lock(path)
        if path.is_dir():
            return fd
        os.close(fd)
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:
        _remove_empty(path)
        what = f"a directory in {path.parent} cannot be locked ({error.strerror})"
        raise _refused(what, error.errno) from None
    _remove_empty(path)
    return None


def _remove_empty(path: Path) -> None:
    """Remove a directory, without a descriptor: there may be none left."""
    with suppress(OSError):
        path.rmdir()


def _refused(what: str, number: int | None = None) -> HarnessError:
    if number in (errno.EMFILE, errno.ENFILE):
        return HarnessError(what, "allow more open files: `ulimit -n`")
    return HarnessError(what, "set TMPDIR to a directory of a local file system that we can write")


def remove(path: Path) -> None:
    """Remove a directory that `make` returned."""
    shutil.rmtree(path, ignore_errors=True)
    os.close(_held.pop(path))


def _remove_all() -> None:
    for path in list(_held):
        remove(path)
