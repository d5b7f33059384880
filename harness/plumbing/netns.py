# SPDX-License-Identifier: Apache-2.0
"""Network namespaces held by nothing but a file descriptor.

A namespace without a name cannot leak: the kernel frees it when the last descriptor, process or
socket that refers to it is gone, which also happens after SIGKILL (network_namespaces(7)).
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import threading
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from pyroute2 import IPRoute

from harness.plumbing import process
from harness.plumbing.errors import PrivilegeError

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_entered = threading.local()
#: What to do about each errno of unshare(2).
_REFUSED = {
    errno.EPERM: "run as root with SYS_ADMIN; a container's seccomp profile may forbid it as well:"
    " run the container with --privileged",
    errno.ENOSPC: "the limit of namespaces is reached: raise the sysctl user.max_net_namespaces",
    errno.EINVAL: "the kernel has none: enable CONFIG_NET_NS",
    errno.ENOMEM: "free some memory",
}


def _setns(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise PrivilegeError(
            f"cannot enter a network namespace ({os.strerror(code)})",
            "run as root outside user namespaces, with SYS_ADMIN",
        )


def _current() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def _opened(key: str, flags: int) -> Iterator[int]:
    """The file of a sysctl, in a third of the time that open() takes; errors bear its name."""
    path = f"/proc/sys/net/{key}"
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield fd
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(fd)


class NetNS:
    """A network namespace; `with ns:` puts the calling thread inside and takes it out again.

    Attributes:
        name: What the testbed calls it (`master`, `pod1`); the kernel does not know it.
        inum: The namespace's inode number, unique while it lives.
    """

    def __init__(self, name: str, fd: int | None = None) -> None:
        """Create the namespace, or take one that exists.

        Args:
            name: What it is called in messages.
            fd: A descriptor of a namespace that exists, which the object closes; None: make one.

        Raises:
            PrivilegeError: The kernel refuses, and why.
        """
        self.name = name
        self._fd = -1
        self._netlink: IPRoute | None = None
        self._owner = 0
        self._channels: dict[int, socket.socket] = {}  # by thread
        if fd is not None:
            self._fd, self.inum = fd, os.fstat(fd).st_ino
            return
        process.prepare_tools()
        home = _current()
        try:
            if _libc.unshare(_CLONE_NEWNET):
                code = ctypes.get_errno()
                raise PrivilegeError(
                    f"cannot create the network namespace of {name} ({os.strerror(code)})",
                    _REFUSED.get(code, "look at unshare(2) for this error"),
                )
            try:
                self._fd = _current()
                self.inum = os.fstat(self._fd).st_ino
            finally:
                _setns(home)
        except BaseException:
            self.close()
            raise
        finally:
            os.close(home)

    def fileno(self) -> int:
        """The descriptor that holds the namespace."""
        return self._fd

    def __enter__(self) -> NetNS:
        back = _current()
        try:
            _setns(self._fd)
        except BaseException:
            os.close(back)
            raise
        _entered.__dict__.setdefault("stack", []).append(back)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        back = _entered.stack.pop()
        try:
            _setns(back)
        finally:
            os.close(back)

    @property
    def netlink(self) -> IPRoute:
        """A netlink socket inside, opened at first use and kept: opening costs 2 ms."""
        if self._netlink is None:
            with self:
                self._netlink = IPRoute(groups=0)
            self._owner = threading.get_ident()
        if self._owner != threading.get_ident():
            # pyroute2 0.9 would open another socket, in that thread's namespace: the machine's own.
            raise RuntimeError(f"netlink of {self.name} belongs to another thread")
        return self._netlink

    @contextmanager
    def channel(self) -> Iterator[socket.socket]:
        """The calling thread's plain rtnetlink socket inside, kept from one use to the next.

        After an error another is opened: what was asked may still be answered.
        """
        thread = threading.get_ident()
        if thread not in self._channels:
            self._channels[thread] = self.socket(
                socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE
            )
        try:
            yield self._channels[thread]
        except BaseException:
            self._channels.pop(thread).close()
            raise

    def socket(self, family: int, kind: int, proto: int = 0) -> socket.socket:
        """A socket that lives inside, usable from any namespace."""
        with self:
            return socket.socket(family, kind | socket.SOCK_CLOEXEC, proto)

    def run(self, argv: list[str], stdin: str | None = None, timeout: float = 30.0) -> str:
        """As `process.run`, inside."""
        with self:
            return process.run(argv, stdin, timeout)

    def spawn(self, argv: list[str], **popen: Any) -> Any:
        """As `process.spawn`, inside."""
        with self:
            return process.spawn(argv, **popen)

    def read(self, path: str) -> str:
        """The text of a /proc file as seen inside; `net/…` is read from the calling thread."""
        real = path.replace("/proc/net/", "/proc/thread-self/net/")
        with self, open(real, encoding="ascii") as file:
            return file.read()

    def sysctl(self, key: str, value: int | str) -> None:
        """Write `net.<key>` inside; dots in `key` are path separators, as in `ipv4/ip_forward`."""
        self.sysctls({key: value})

    def sysctls(self, values: Mapping[str, int | str]) -> None:
        """Write many sysctls with one entry into the namespace.

        Raises:
            OSError: One cannot be written; `filename` says which.
        """
        with self:
            for key, value in values.items():
                with _opened(key, os.O_WRONLY) as fd:
                    os.write(fd, str(value).encode())

    def read_sysctls(self, keys: Iterable[str], perhaps: Container[str] = ()) -> dict[str, str]:
        """Read many sysctls with one entry into the namespace.

        Args:
            keys: As in `sysctl`.
            perhaps: Those that a kernel may lack: they are then left out.

        Raises:
            OSError: One cannot be read; `filename` says which.
        """
        found = {}
        with self:
            for key in keys:
                try:
                    with _opened(key, os.O_RDONLY) as fd:
                        found[key] = os.read(fd, 4096).decode("ascii").strip()
                except FileNotFoundError:
                    if key not in perhaps:
                        raise
        return found

    def close(self) -> None:
        """Let go of the namespace; the kernel frees it once nothing else refers to it."""
        netlink, self._netlink = self._netlink, None
        try:
            while self._channels:
                self._channels.popitem()[1].close()
            if netlink is not None:
                netlink.close()
        finally:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
