# SPDX-License-Identifier: Apache-2.0
"""A PID namespace that children are born into and that dies with the thread that made it.

When the first process of a PID namespace ends, the kernel kills all others (pid_namespaces(7)).
Here that is a `cat` on a pipe nobody writes to; `setpriv --pdeathsig` binds it to this thread, and
the pipe's end to this process. So a child needs no wrapper of its own: two programs fewer to
execute for each tcpdump, 2 ms of its 5.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
import weakref
from collections.abc import Callable
from types import TracebackType

_CLONE_NEWPID = 0x20000000
_libc = ctypes.CDLL(None, use_errno=True)
_of_thread = threading.local()
_SILENT = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]


class RefusedError(Exception):
    """The kernel makes no PID namespace for this process."""


class PidNamespace:
    """`with` it, and what this thread forks is born inside; the thread itself stays where it is.

    Attributes:
        first: Pid of its first process, as its maker sees it.
    """

    def __init__(self, find_tool: Callable[[str], str]) -> None:
        """Make one with its first process.

        Args:
            find_tool: Name of a program → its path.

        Raises:
            RefusedError: It takes SYS_ADMIN.
        """
        setpriv, cat = find_tool("setpriv"), find_tool("cat")
        _reap()
        with contextlib.ExitStack() as undo:
            self._home = _opened("/proc/thread-self/ns/pid", undo)
            reader, self._pipe = os.pipe()
            undo.callback(os.close, self._pipe)
            try:
                if _libc.unshare(_CLONE_NEWPID):
                    raise RefusedError(os.strerror(ctypes.get_errno()))
                try:
                    self.first = os.posix_spawn(
                        setpriv,
                        [setpriv, "--pdeathsig", "KILL", "--", cat],
                        {"PATH": os.defpath},
                        file_actions=[(os.POSIX_SPAWN_DUP2, reader, 0), *_SILENT],
                    )
                    undo.callback(_ending.append, self.first)  # its pipe's end ends it
                    # Opens only once the namespace has its first process.
                    self._fd = _opened("/proc/thread-self/ns/pid_for_children", undo)
                finally:
                    self._enter(self._home)
            finally:
                os.close(reader)
            undo.pop_all()
        self._finalizer = weakref.finalize(
            self, _end, os.getpid(), self.first, self._pipe, self._fd, self._home
        )

    def kill(self) -> None:
        """Kill all that live in it; it ends once their parents have waited for them."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.first, signal.SIGKILL)

    def close(self) -> None:
        """Kill all that live in it and wait for its end.

        Whoever had children born inside has waited for them by now, after `kill`: the first process
        ends when the last other one has been waited for.
        """
        self.kill()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.first, 0)
        self._finalizer()

    @staticmethod
    def _enter(fd: int) -> None:
        if _libc.setns(fd, _CLONE_NEWPID):
            raise RefusedError(os.strerror(ctypes.get_errno()))

    @property
    def alive(self) -> bool:
        """Whether its first process still is; without it nothing can be born inside."""
        try:
            return os.waitpid(self.first, os.WNOHANG) == (0, 0)
        except ChildProcessError:
            return False

    def __enter__(self) -> PidNamespace:
        self._enter(self._fd)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A thread cannot be started while children go elsewhere than their parent (clone(2)).
        self._enter(self._home)


def _opened(path: str, undo: contextlib.ExitStack) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    undo.callback(os.close, fd)
    return fd


_ending: list[int] = []


def _end(owner: int, first: int, *fds: int) -> None:
    if owner != os.getpid():  # a fork's copy
        return
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        if os.waitpid(first, os.WNOHANG) == (0, 0):
            os.kill(first, signal.SIGKILL)
            # Not waited for here: it ends only when all it takes along have been, by their parents.
            _ending.append(first)
    for fd in fds:
        os.close(fd)


def _reap() -> None:
    """Wait for those that have ended since."""
    for pid in list(_ending):
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                continue
        with contextlib.suppress(ValueError):  # another thread was faster
            _ending.remove(pid)


def first_process() -> int | None:
    """Pid of the process that holds the calling thread's open, if it has one."""
    key: tuple[int, PidNamespace] | None = getattr(_of_thread, "namespace", None)
    return key[1].first if key else None


def of_this_thread(find_tool: Callable[[str], str]) -> PidNamespace:
    """The calling thread's, made at its first call.

    Args:
        find_tool: Name of a program → its path; asked when the namespace is made.

    Raises:
        RefusedError: It takes SYS_ADMIN.
    """
    key: tuple[int, PidNamespace] | None = getattr(_of_thread, "namespace", None)
    # After a fork the copy is the parent's, whose end this process need not share.
    if key is None or key[0] != os.getpid() or not key[1].alive:
        _of_thread.namespace = key = (os.getpid(), PidNamespace(find_tool))
    return key[1]


def abandon() -> None:
    """Have the calling thread's next child born into another: this one is dying."""
    _of_thread.namespace = None
