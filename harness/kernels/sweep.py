# SPDX-License-Identifier: Apache-2.0
"""What a guest left on the host: files and directories stay, and are ours; all else goes. Floor 7.

Root in a guest makes what it likes in the directory that it shares with the host, with QEMU's
rights: links to the host's files, devices, setuid programs. So others cannot enter the directory
while the guest runs, what is read meanwhile is read through no link, and it is swept when QEMU has
ended.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

_DEEPEST = 32  # directories within each other; pcaps need seven
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def sweep(directory: Path) -> list[str]:
    """Remove what is neither file nor directory; give the rest to us, as the umask says.

    Args:
        directory: What was shared with a guest that has ended.

    Returns:
        The paths of what was removed, relative to the directory.

    Raises:
        OSError: It holds directories that nobody made by accident, or cannot be changed.
    """
    top = os.open(directory, _FOLDER)
    try:
        mask = _umask()
        removed = list(_swept(top, Path(), mask))
        os.fchmod(top, 0o777 & ~mask)
    finally:
        os.close(top)
    return removed


def _swept(folder: int, where: Path, mask: int) -> Iterator[str]:
    if len(where.parts) > _DEEPEST:
        raise OSError(errno.ENAMETOOLONG, "the guest left too many directories within each other")
    for name in os.listdir(folder):
        kind = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            os.unlink(name, dir_fd=folder)
            yield str(where / name)
            continue
        os.chown(name, os.geteuid(), os.getegid(), dir_fd=folder, follow_symlinks=False)
        # No link by now, and nobody is left who could make it one.
        os.chmod(name, (0o777 if stat.S_ISDIR(kind) else 0o666) & ~mask, dir_fd=folder)
        if stat.S_ISDIR(kind):
            inner = os.open(name, _FOLDER, dir_fd=folder)
            try:
                yield from _swept(inner, where / name, mask)
            finally:
                os.close(inner)


def _umask() -> int:
    """The umask; umask(2) tells only by changing it, for other threads as well."""
    found = re.search(r"^Umask:\s*([0-7]+)$", Path("/proc/self/status").read_text("ascii"), re.M)
    return int(found[1], 8) if found else 0o077
