# SPDX-License-Identifier: Apache-2.0
"""Files that a description names: read once, and only where nobody else can have written them.

What the command line names is trusted as the command is. What that file names in its turn must lie
below its directory, reached by no link, and be writable by nobody but root and the file's owner,
as must every directory on the way. What is hashed is what was read: nobody opens a path again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from harness.plumbing.closable import Closable

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True)
class TrustedFile:
    """A file as it was read.

    Attributes:
        path: Where it was; only for people to read.
        content: What is in it.
        sha256: Of the content, in hexadecimal digits.
        executable: Whether its owner may run it.
    """

    path: Path = field(compare=False)
    content: bytes = field(repr=False, compare=False)
    sha256: str
    executable: bool = False


class TrustedDirectory(Closable):
    """The directory of a file that the command line named, held by a descriptor.

    Attributes:
        file: That file.
        path: The directory.
    """

    def __init__(self, path: Path, limit: int) -> None:
        """Open the directory, and read the file.

        Args:
            path: To the file; links on the way are the command line's business.
            limit: Bytes.

        Raises:
            OSError: It cannot be read, is no regular file, or is larger; `strerror` says so.
        """
        real = Path(os.path.realpath(path))
        self.path = real.parent
        self._fd = os.open(self.path, _DIRECTORY)
        try:
            with os.fdopen(_open(real.name, _FILE, self._fd), "rb") as file:
                self._owner = os.fstat(file.fileno()).st_uid
                self.file = _read(file, path, limit)
        except BaseException:
            self.close()
            raise

    def read(self, name: str, limit: int) -> TrustedFile:
        """Read a file below the directory.

        Args:
            name: Its path from the directory.
            limit: Bytes.

        Raises:
            OSError: It cannot be read or is not trusted; `strerror` says why.
        """
        parts = Path(name).parts
        if not parts or Path(name).is_absolute() or ".." in parts:
            raise _refused(f"it does not lie below {self.path}", name)
        at = os.dup(self._fd)
        try:
            self._check(os.fstat(at), ".")
            for index, part in enumerate(parts[:-1], 1):
                before, at = at, _open(part, _DIRECTORY, at)
                os.close(before)
                self._check(os.fstat(at), "/".join(parts[:index]))
            handle = _open(parts[-1], _FILE, at)
        finally:
            os.close(at)
        with os.fdopen(handle, "rb") as file:
            self._check(os.fstat(handle), name)
            return _read(file, self.path / name, limit)

    def _check(self, found: os.stat_result, name: str) -> None:
        """Refuse what somebody else may write, or a link."""
        what = "its directory" if name == "." else name
        if stat.S_ISLNK(found.st_mode):
            raise _refused(f"{what} is a symbolic link: name the file itself", name)
        if found.st_uid not in (0, self._owner):
            raise _refused(f"{what} belongs to user {found.st_uid}", name)
        sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
        if found.st_mode & _OTHERS_MAY_WRITE and not sticky:
            raise _refused(f"others may write {what}: chmod go-w", name)

    def close(self) -> None:
        """Let go of the directory."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _refused(why: str, name: str) -> PermissionError:
    return PermissionError(errno.EACCES, why, name)


def _open(name: str, flags: int, at: int) -> int:
    try:
        return os.open(name, flags, dir_fd=at)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise _refused(f"{name} is a symbolic link, or no directory", name) from None
        raise


def _read(file: BinaryIO, path: Path, limit: int) -> TrustedFile:
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit >> 20} MiB", str(path))
    digest = hashlib.sha256(content).hexdigest()
    return TrustedFile(path, content, digest, bool(found.st_mode & stat.S_IXUSR))
