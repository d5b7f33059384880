# SPDX-License-Identifier: Apache-2.0
"""Ways down paths that other users may have prepared: none follows a link of theirs.

We often run as root. Whoever may write in a directory on the way, /tmp for one, could lead us with
a symbolic link to any file of the machine. So a path is walked by descriptors, a name at a time,
and only links that root or this user made are followed.

What is refused raises OSError, whose `strerror` says why.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from contextlib import suppress
from pathlib import Path

_LINKS = 40  # followed in one path, as the kernel does
_NAME = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def is_ours(uid: int) -> bool:
    """Whether what this user made is trusted: root may do anything, and we are ourselves."""
    return uid in (0, os.geteuid())


def open_directory(path: Path, *, make: bool = False, guarded: bool = False) -> int:
    """Open a directory.

    Args:
        path: To it.
        make: Whether it is made, with those above it, if it is not there.
        guarded: Whether a directory is refused that another user made where everybody may, as in
            /tmp: its owner could put another in its place later.

    Returns:
        A descriptor; the caller closes it.
    """
    way = _Way(path, make, guarded)
    try:
        way.go_down()
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=way.here)
    finally:
        os.close(way.here)


def open_parent(path: Path, *, make: bool = False) -> tuple[int, str]:
    """Open the directory that has a file, where the links that lead to the file end.

    Args:
        path: To the file, which need not be there.
        make: Whether directories are made.

    Returns:
        A descriptor, which the caller closes, and the file's name; no link had that name.
    """
    way = _Way(path, make, False)
    try:
        while way.go_down(but=1):
            name = way.names[0]
            if not way.is_link(name):
                folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=way.here)
                return folder, name
            way.enter(way.names.popleft())
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    finally:
        os.close(way.here)


class _Way:
    """A way down a path.

    Attributes:
        here: A descriptor of the directory that has been reached.
        names: What is still to go.
    """

    def __init__(self, path: Path, make: bool, guarded: bool) -> None:
        self._path, self._make, self._guarded = path, make, guarded
        self._links = 0
        self.names = deque(path.parts)
        self.here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def go_down(self, but: int = 0) -> bool:
        """Enter all that is named but so many; whether so many are left."""
        while len(self.names) > but:
            self.enter(self.names.popleft())
        return len(self.names) == but

    def is_link(self, name: str) -> bool:
        """Whether that name here is a link's."""
        with suppress(FileNotFoundError):
            return stat.S_ISLNK(os.stat(name, dir_fd=self.here, follow_symlinks=False).st_mode)
        return False

    def enter(self, name: str) -> None:
        """Enter a directory here, or put where a link leads before what is still to go."""
        child = self._open(name)
        try:
            found = os.fstat(child)
            if stat.S_ISLNK(found.st_mode):
                self._follow(child, name, found)
                return
            if not stat.S_ISDIR(found.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(self._path))
            if self._guarded and name not in ("..", "/"):
                self._check_guarded(name, found)
            self.here, child = child, self.here
        finally:
            os.close(child)

    def _open(self, name: str) -> int:
        try:
            return os.open(name, _NAME, dir_fd=self.here)
        except FileNotFoundError:
            if not self._make:
                raise
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=self.here)
        return os.open(name, _NAME, dir_fd=self.here)

    def _follow(self, link: int, name: str, found: os.stat_result) -> None:
        if not is_ours(found.st_uid):
            raise _refused(self._path, f"{name} is a symbolic link of user {found.st_uid}")
        self._links += 1
        if self._links > _LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(self._path))
        self.names.extendleft(reversed(Path(os.readlink("", dir_fd=link)).parts))

    def _check_guarded(self, name: str, found: os.stat_result) -> None:
        above = os.fstat(self.here)
        if above.st_mode & stat.S_IWOTH and not is_ours(found.st_uid):
            why = f"{name} belongs to user {found.st_uid}, and everybody may make one there"
            raise _refused(self._path, why)


def _refused(path: Path, why: str) -> PermissionError:
    return PermissionError(errno.EACCES, why, str(path))
