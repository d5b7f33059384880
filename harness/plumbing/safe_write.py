# SPDX-License-Identifier: Apache-2.0
"""Writes files: whole or not at all, through no other user's link, as the umask says.

Files appear by link(2) or rename(2), which follow no links, in directories that `safe_path` opens.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from harness.plumbing.safe_path import is_ours, open_directory, open_parent

#: What open(2) says of O_TMPFILE where the file system, or the kernel, has no such thing.
_NO_TMPFILE = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: Names of what this process has open already.
_OPEN = re.compile(r"/dev/(?:(stdout)|(stderr)|fd/(\d+))|/proc/self/fd/(\d+)")


def publish(path: Path, data: bytes | BinaryIO) -> None:
    """Make a new file appear whole; directories above it are made.

    Args:
        path: Where.
        data: What is in it, or where that is read from.

    Raises:
        FileExistsError: The name is taken, be it by a link.
        OSError: It cannot be written.
    """
    folder = open_directory(path.parent, make=True)
    try:
        _link_in(folder, path.name, data, 0o666)
        os.fsync(folder)
    finally:
        os.close(folder)


def replace(path: Path, data: bytes) -> None:
    """Make a file appear whole in an older one's place, or leave that as it is.

    A link of ours keeps pointing at the file; a device or a FIFO is written to. The new file is not
    more open than the old one. Directories above it are made.

    Raises:
        OSError: It cannot be written, or may not be replaced.
    """
    own = _own_descriptor(path)
    if own is not None:
        with os.fdopen(os.dup(own), "wb") as file:
            file.write(data)
        return
    folder, name = open_parent(path, make=True)
    try:
        old = _replaceable(folder, name)
        if old is not None and not stat.S_ISREG(old.st_mode):
            _write_to(folder, name, data)
            return
        draft = f".draft-{secrets.token_hex(8)}"
        _link_in(folder, draft, data, 0o666 if old is None else old.st_mode & 0o666)
        try:
            os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            os.unlink(draft, dir_fd=folder)
            raise
        os.fsync(folder)
    finally:
        os.close(folder)


def check_replaceable(path: Path) -> None:
    """Find out before what `replace` would refuse; nothing is made.

    Raises:
        OSError: The file may not be replaced.
    """
    if _own_descriptor(path) is not None:
        return
    try:
        folder, name = open_parent(path)
    except FileNotFoundError:  # of a directory above; it will be made
        return
    try:
        _replaceable(folder, name)
    finally:
        os.close(folder)


def check_writable(path: Path) -> None:
    """Find out before whether files can be published in a directory, which need not exist.

    Raises:
        OSError: They cannot.
    """
    existing = next(each for each in (path, *path.absolute().parents) if os.path.lexists(each))
    folder = open_directory(existing)
    try:
        handle, draft = _draft(folder, 0o600)
        os.close(handle)
        if draft:
            os.unlink(draft, dir_fd=folder)
    finally:
        os.close(folder)


@contextmanager
def emptied(path: Path) -> Iterator[int]:
    """A descriptor of a directory that is made anew, whatever was there.

    Raises:
        OSError: It cannot be made.
    """
    above = open_directory(path.parent, make=True)
    try:
        with suppress(FileNotFoundError):
            shutil.rmtree(path.name, dir_fd=above)  # refuses a link
        os.mkdir(path.name, dir_fd=above)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        folder = os.open(path.name, flags, dir_fd=above)
    finally:
        os.close(above)
    try:
        yield folder
    finally:
        os.close(folder)


def copy(source: Path, folder: int) -> None:
    """Copy a file under its own name into an open directory that has none of that name.

    Not durable: there may be thousands.
    """
    with open(source, "rb") as file:
        _link_in(folder, source.name, file, 0o666, durable=False)


def _own_descriptor(path: Path) -> int | None:
    found = _OPEN.fullmatch(str(path))
    if found is None:
        return None
    return {"stdout": 1, "stderr": 2}.get(found[1] or found[2]) or int(found[3] or found[4])


def _replaceable(folder: int, name: str) -> os.stat_result | None:
    """The file that is to be replaced, or written to; None: there is none."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    # Where everybody may make files, the kernel lets nobody but root replace another's; a FIFO
    # hands what is written to whoever made it.
    shared = bool(os.fstat(folder).st_mode & stat.S_ISVTX) or stat.S_ISFIFO(found.st_mode)
    device = stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)  # only root makes one
    if shared and not device and not is_ours(found.st_uid):
        raise PermissionError(errno.EACCES, f"it belongs to user {found.st_uid}", name)
    return found


def _write_to(folder: int, name: str, data: bytes) -> None:
    """Write to a device or FIFO."""
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, dir_fd=folder), "wb") as file:
        found = os.fstat(file.fileno())
        foreign = stat.S_ISFIFO(found.st_mode) and not is_ours(found.st_uid)
        if stat.S_ISREG(found.st_mode) or foreign:
            raise PermissionError(errno.EACCES, "another was put in its place", name)
        file.write(data)


def _link_in(
    folder: int, name: str, data: bytes | BinaryIO, mode: int, *, durable: bool = True
) -> None:
    """Make a file appear whole, by link(2), which refuses a name that is taken."""
    handle, draft = _draft(folder, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            if isinstance(data, bytes):
                file.write(data)
            else:
                shutil.copyfileobj(data, file)
            file.flush()
            if durable:
                os.fsync(file.fileno())
            source = draft or f"/proc/self/fd/{file.fileno()}"
            # Only with a descriptor of a directory does Python call linkat(2), which can follow
            # the link below /proc to a file that has no name yet.
            os.link(source, name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        if draft:
            os.unlink(draft, dir_fd=folder)


def _draft(folder: int, mode: int) -> tuple[int, str]:
    """A file to write to: without a name, so that even SIGKILL leaves nothing, where that works."""
    try:
        return os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, mode, dir_fd=folder), ""
    except OSError as error:
        if error.errno not in _NO_TMPFILE:
            raise
    draft = f".draft-{secrets.token_hex(8)}"
    return os.open(draft, _NEW, mode, dir_fd=folder), draft
