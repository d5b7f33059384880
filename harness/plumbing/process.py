# SPDX-License-Identifier: Apache-2.0
"""The one runner of child processes.

Every child dies with us, also after SIGKILL. A tool (tcpdump, nft, iptables-restore) does so by
being born into a PID namespace of ours. What deals in process ids of its own, a shell or QEMU or a
worker, stays in ours, and `setpriv --pdeathsig` asks the kernel for it (prctl(2),
PR_SET_PDEATHSIG). A `preexec_fn` would do the same but forbids vfork, which is what makes a start
cheap, and is unsafe with threads.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from harness.plumbing import pid_namespace
from harness.plumbing.closable import Closable
from harness.plumbing.errors import CommandError, MissingToolError
from harness.plumbing.signals import interruptible, signals_unblocked

#: Programs the harness starts, and the Debian and Ubuntu package that holds each.
TOOLS: dict[str, str] = {
    "tcpdump": "tcpdump",
    "iptables-restore": "iptables",
    "ip6tables-restore": "iptables",
    "iptables-save": "iptables",
    "ip6tables-save": "iptables",
    "nft": "nftables",
    "setpriv": "util-linux",
    "cat": "coreutils",
}

# The kernel signals a child only if its parent dies after the request: one that came too late to
# make it sees another parent, and does not begin.
_BOUND_BY = ["setpriv", "--pdeathsig", "KILL", "--", "/bin/sh", "-c",
             '[ "$PPID" = "$0" ] && exec "$@"']  # fmt: skip

_SBIN = os.pathsep.join(("/usr/local/sbin", "/usr/sbin", "/sbin"))


def find_tool(name: str) -> str:
    """Return the path of a program.

    Raises:
        MissingToolError: It is on neither PATH nor the sbin directories.
    """
    return _found(name, os.environ.get("PATH", os.defpath))


@lru_cache(maxsize=256)  # a test starts ten children: to look for each again takes 1 ms
def _found(name: str, given: str) -> str:
    path = shutil.which(name, path=_trusted(given)) or shutil.which(name, path=_SBIN)
    if path is None:
        package = TOOLS.get(name, name)
        raise MissingToolError(f"{name} is not installed", f"run `apt-get install {package}`")
    return path


def search_path() -> str:
    """PATH without what another user can fill: the working directory, directories of everybody."""
    return _trusted(os.environ.get("PATH", os.defpath))


def _trusted(given: str) -> str:
    return os.pathsep.join(
        path
        for path in given.split(os.pathsep)
        if path.startswith("/") and not _open_to_all(Path(path))
    )


def _open_to_all(directory: Path) -> bool:
    try:
        return bool(directory.stat().st_mode & stat.S_IWOTH)
    except OSError:
        return False


def _find_setpriv() -> str:
    return find_tool("setpriv")


def spawn(argv: list[str], **popen: Any) -> subprocess.Popen[bytes]:
    """Start a child in the caller's network namespace; it is killed when the caller's thread ends.

    Args:
        argv: The program's name and its arguments.
        **popen: Passed to `subprocess.Popen`.
    """
    popen.setdefault("stdin", subprocess.DEVNULL)
    with signals_unblocked():
        return subprocess.Popen(bound([find_tool(argv[0]), *argv[1:]]), **popen)


def bound(argv: list[str]) -> list[str]:
    """The command by which a child is killed when the calling thread ends.

    Args:
        argv: The program's path and its arguments.
    """
    return [_find_setpriv(), *_BOUND_BY[1:], str(os.getpid()), *argv]


def prepare_tools() -> None:
    """Make the calling thread's PID namespace now, while it is in no testbed's network namespace.

    Its first process would keep that one alive for as long as the thread lives.
    """
    with suppress(pid_namespace.RefusedError, MissingToolError):
        pid_namespace.of_this_thread(find_tool)


def spawn_tool(argv: list[str], **popen: Any) -> subprocess.Popen[bytes]:
    """As `spawn`, cheaper, for what needs no process ids: it is born into a PID namespace.

    Args:
        argv: The program's name and its arguments.
        **popen: Passed to `subprocess.Popen`.
    """
    popen.setdefault("stdin", subprocess.DEVNULL)
    path = find_tool(argv[0])
    try:
        return _born_inside([path, *argv[1:]], popen)
    except pid_namespace.RefusedError:  # without SYS_ADMIN
        return spawn(argv, **popen)
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
    # Somebody killed its first process, the OOM killer perhaps. That ends, and can be seen to have
    # ended, only when those that it took along have been waited for.
    pid_namespace.abandon()
    return _born_inside([path, *argv[1:]], popen)


def _born_inside(argv: list[str], popen: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    with pid_namespace.of_this_thread(find_tool), signals_unblocked():
        return subprocess.Popen(argv, **popen)


class Job(NamedTuple):
    """A child to run to its end.

    Attributes:
        argv: The program's name and its arguments.
        stdin: What it is given; None: nothing.
        inside: What is entered while it is started, as a `NetNS`.
        environment: Variables it is given besides ours.
    """

    argv: list[str]
    stdin: str | None = None
    inside: AbstractContextManager[object] = nullcontext()
    environment: Mapping[str, str] = MappingProxyType({})


def run(argv: list[str], stdin: str | None = None, timeout: float = 30.0) -> str:
    """Run a child to its end in the caller's network namespace and return its stdout.

    Raises:
        CommandError: It ended with a status other than 0, or overran `timeout` seconds.
    """
    return run_together([Job(argv, stdin)], timeout)[0]


def run_together(jobs: Sequence[Job], timeout: float = 30.0) -> list[str]:
    """Run children at the same time, each to its end; as `run` for each.

    Args:
        jobs: What to run.
        timeout: Seconds for each.

    Raises:
        CommandError: The first, in the order of `jobs`, that failed; all have ended by then.
    """
    with Running(jobs) as running:
        return running.outputs(timeout)


class Running(Closable):
    """Children at work, for who has something else to do meanwhile.

    Leaving the context, or `close`, kills those that still run.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        """Start them all."""
        self._jobs: list[tuple[Job, subprocess.Popen[bytes]]] = []
        try:
            for job in jobs:
                pipe = subprocess.PIPE
                with _given(job.stdin) as stdin, job.inside:
                    child = spawn_tool(
                        job.argv, stdin=stdin, stdout=pipe, stderr=pipe,
                        env={**os.environ, **job.environment},
                    )  # fmt: skip
                self._jobs.append((job, child))
        except BaseException:  # one that cannot begin takes those along that have
            self.close()
            raise

    def outputs(self, timeout: float = 30.0) -> list[str]:
        """Wait for their ends; returns what each printed.

        Args:
            timeout: Seconds for each.

        Raises:
            CommandError: The first, in the order of the jobs, that failed; all have ended by then.
        """
        outputs, failures = [], []
        for job, child in self._jobs:
            status: int | str
            with child:
                try:
                    with interruptible():
                        out, err = child.communicate(timeout=timeout)
                    status = child.returncode
                except subprocess.TimeoutExpired:
                    child.kill()
                    out, err = child.communicate()
                    status = f"no end within {timeout:g} s"
            outputs.append(out.decode(errors="replace"))
            if status:
                failures.append(
                    CommandError(job.argv, status, outputs[-1], err.decode(errors="replace"))
                )
        self._jobs.clear()
        if failures:
            raise failures[0]
        return outputs

    def close(self) -> None:
        """End those that still run.

        Not by `communicate`: where an interrupt struck it, it cannot go on (subprocess.py).
        """
        for _, child in self._jobs:
            child.kill()
        for _, child in self._jobs:
            for pipe in filter(None, (child.stdout, child.stderr)):
                pipe.close()
            child.wait()
        self._jobs.clear()


@contextmanager
def _given(text: str | None) -> Iterator[int]:
    """What a child reads `text` from: a file in memory, as a pipe would have to be fed."""
    if text is None:
        yield subprocess.DEVNULL
        return
    with open(os.memfd_create("stdin", os.MFD_CLOEXEC), "wb") as file:
        file.write(text.encode())
        file.flush()
        file.seek(0)
        yield file.fileno()
