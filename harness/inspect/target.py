# SPDX-License-Identifier: Apache-2.0
"""The namespace to look at: by name, path or process id, or the caller's own."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from harness.plumbing.errors import PrivilegeError, UnknownNameError
from harness.plumbing.netns import NetNS
from harness.plumbing.process import prepare_tools

_NAMED = (Path("/run/netns"), Path("/var/run/netns"))  # ip-netns(8)
_NSTYPE, _NETWORK = 0xB703, 0x40000000  # NS_GET_NSTYPE, CLONE_NEWNET: ioctl_nsfs(2)


class Here(NetNS):
    """The caller's own: to be inside takes no privilege."""

    def __init__(self) -> None:
        super().__init__("this node", os.open("/proc/thread-self/ns/net", _FLAGS))

    def __enter__(self) -> NetNS:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass


_FLAGS = os.O_RDONLY | os.O_CLOEXEC


def opened(name: str | None) -> NetNS:
    """A namespace.

    Args:
        name: A name below /run/netns, a path, or a process id; None: the caller's own.

    Raises:
        UnknownNameError: There is no such namespace.
        PrivilegeError: It may not be opened.
    """
    prepare_tools()
    if name is None:
        return Here()
    tried = _paths(name)
    for path in tried:
        try:
            fd = os.open(path, _FLAGS)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM):
                raise PrivilegeError(
                    f"namespace {name}: {path}: {error.strerror}", "run as root with SYS_PTRACE"
                ) from None
            continue
        if not _is_network(fd):
            os.close(fd)
            raise UnknownNameError(f"{path} is not a network namespace", "pass another path")
        return NetNS(name, fd)
    raise UnknownNameError(
        f"there is no network namespace {name!r}",
        f"pass a name of `ip netns`, a path or a process id; tried {', '.join(map(str, tried))}",
    )


def _paths(name: str) -> list[Path]:
    if "/" in name:
        return [Path(name)]
    named = [directory / name for directory in _NAMED if name not in (".", "..")]
    return [Path(f"/proc/{name}/ns/net"), *named] if name.isdecimal() else named


def candidates() -> Iterator[int]:
    """A descriptor of every namespace that a process lives in, holds or has mounted, each once.

    The next step closes it.
    """
    seen: set[int] = set()
    places = [path for directory in _NAMED if directory.is_dir() for path in directory.iterdir()]
    places += Path("/proc").glob("[0-9]*/ns/net")
    for path in (*places, *_held()):
        try:
            fd = os.open(path, _FLAGS | os.O_NONBLOCK)
        except OSError:  # it has ended, or is another user's
            continue
        try:
            inum = os.fstat(fd).st_ino
            if inum not in seen and _is_network(fd):
                seen.add(inum)
                yield fd
        finally:
            os.close(fd)


def _held() -> Iterator[Path]:
    """Descriptors of namespaces that processes hold: nothing else may be opened on the way."""
    for path in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(path.readlink()).startswith("net:["):
                yield path
        except OSError:
            continue


def _is_network(fd: int) -> bool:
    try:
        return fcntl.ioctl(fd, _NSTYPE) == _NETWORK
    except OSError:
        return False
