# SPDX-License-Identifier: Apache-2.0
"""An agent's process: lines go in, lines come out, each within a deadline.

It is born into a PID namespace of its own, bound to our thread. When that ends, the kernel ends the
agent and all that it forked, whatever session they are in (pid_namespaces(7)).
"""

from __future__ import annotations

import hashlib
import os
import select
import subprocess
import time
import weakref
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO

from harness.plumbing import pid_namespace, process
from harness.plumbing.closable import Closable
from harness.plumbing.errors import AgentError
from harness.plumbing.signals import interruptible, signals_unblocked

LINE_BYTES = 1 << 20
_STDERR_BYTES = 1 << 16  # of its end are kept
_PIPE_BYTES = 1 << 20  # what an agent may log between two answers before its write waits
_PIECE = 1 << 16
_GRACE = 1.0  # seconds for one that is ending


class Program:
    """An executable file, held by a descriptor: what was hashed is what is run.

    Attributes:
        path: Where it was opened.
        sha256: Of its content, in hexadecimal digits.
    """

    def __init__(self, path: Path, sha256: str) -> None:
        """Open it.

        Args:
            path: To it.
            sha256: Of what was read there; empty: of what is.

        Raises:
            OSError: It cannot be opened.
            AgentError: It is another one by now.
        """
        self.path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self.fd)
        self._seen = self._state()
        with open(path, "rb", opener=lambda *_: os.dup(self.fd)) as file:
            self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if sha256 not in ("", self.sha256):
            self._refuse()

    def _state(self) -> tuple[int, int, int]:
        found = os.fstat(self.fd)
        return found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def check(self) -> None:
        """Refuse it if somebody wrote to it since.

        Raises:
            AgentError: Its content or its permissions changed.
        """
        if self._state() != self._seen:
            self._refuse()

    def _refuse(self) -> None:
        raise AgentError(f"{self.path} changed since it was read", "start the run again")


class AgentProcess(Closable):
    """A running agent. It is asked one thing at a time."""

    def __init__(self, who: str, program: Program, arguments: Sequence[str]) -> None:
        """Start it, in its program's directory, without a shell.

        Args:
            who: What errors call it.
            program: What is run; argv[0] is its path.
            arguments: argv[1] and so on.

        Raises:
            AgentError: It cannot be started.
        """
        self._who = who
        self._out = bytearray()
        self._err = bytearray()
        self._silent = self._mute = False  # whether it closed stdout and stderr
        self._pidfd = -1
        program.check()
        try:
            self._namespace: pid_namespace.PidNamespace | None = pid_namespace.PidNamespace(
                process.find_tool
            )
        except pid_namespace.RefusedError:  # without SYS_ADMIN, where no testbed is built either
            self._namespace = None
        try:
            self._child = self._start(program, arguments)
        except OSError as error:
            self._end_namespace()
            raise AgentError(f"{who} cannot be started: {error.strerror}", _TODO) from None
        try:
            self._pidfd = os.pidfd_open(self._child.pid)
            for pipe in self._pipes:
                os.set_blocking(pipe.fileno(), False)
        except BaseException:
            self.close()
            raise

    def _start(self, program: Program, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        path = f"/proc/self/fd/{program.fd}"
        argv, executable = [str(program.path), *arguments], path
        if self._namespace is None:
            argv = process.bound([path, *arguments])
            executable = argv[0]
        with self._namespace or nullcontext(), signals_unblocked():
            return subprocess.Popen(
                argv, executable=executable, pass_fds=(program.fd,), cwd=program.path.parent,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                bufsize=0, pipesize=_PIPE_BYTES,
                start_new_session=True,  # Ctrl-C is for us; it is asked to clean up
            )  # fmt: skip

    @property
    def _pipes(self) -> list[IO[bytes]]:
        pipes = (self._child.stdin, self._child.stdout, self._child.stderr)
        return [pipe for pipe in pipes if pipe is not None]

    @property
    def ended(self) -> str:
        """How it ended, such as `ended with status 1`; empty: it lives."""
        status = self._child.poll()
        if status is None:
            return ""
        if status < 0:
            return f"was killed by signal {-status}"
        forked = " (an agent stays in the foreground)" if status == 0 else ""
        return f"ended with status {status}{forked}"

    @property
    def log(self) -> str:
        """The last that it wrote to stderr."""
        if self._pidfd >= 0:
            self._read()
        return self._err.decode(errors="replace")

    def ask(self, verb: str, request: bytes, seconds: float) -> bytes:
        """Send a line and return the line that answers it.

        Args:
            verb: What errors call the request.
            request: The line, with its end.
            seconds: How long it may take.

        Raises:
            AgentError: It answered late, too much, unasked, or has ended.
        """
        self.check_silence()
        self.check_alive(f"before {verb}")
        deadline, left = time.monotonic() + seconds, memoryview(request)
        while left or b"\n" not in self._out:
            self._check(verb)
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                self._fail(f"did not answer {verb} within {seconds:g} s", _SLOW)
            left = self._step(left, remaining)
        line, _, self._out = self._out.partition(b"\n")
        return bytes(line)

    def check_alive(self, when: str) -> None:
        """Refuse one that has ended, such as one whose child goes on.

        Raises:
            AgentError: It has; the message ends with `when`.
        """
        ended = self.ended
        if ended:
            self._fail(f"{ended} {when}")

    def check_silence(self) -> None:
        """Refuse what it has said unasked.

        Raises:
            AgentError: It has said more than it was asked for.
        """
        self._read()
        if self._out:
            self._fail(f"said {_shown(self._out)}, and was not asked", "have it answer in one line")

    def _check(self, verb: str) -> None:
        """Raise where no answer can come any more."""
        if len(self._out) > LINE_BYTES:
            self._fail(f"answered {verb} with a line longer than {LINE_BYTES >> 20} MiB")
        if self._silent and not self.ended:
            self._await_end(_GRACE)  # one that ends closes its files first
        ended = self.ended
        if ended:
            self._read()  # it may have answered before
        if b"\n" not in self._out and (ended or self._silent):
            said = f"; it had said {_shown(self._out)}" if self._out else ""
            ended = ended or "closed its stdout"
            self._fail(f"{ended} instead of answering {verb}{said}")

    def _fail(self, what: str, todo: str = "") -> None:
        raise AgentError(f"{self._who} {what}", todo, self.log)

    def _step(self, left: memoryview, seconds: float) -> memoryview:
        """Wait until there is something to do, and do it; returns what is still to be sent."""
        stdin, stdout, stderr = self._pipes
        poll = select.poll()
        for source, over in ((stdout, self._silent), (stderr, self._mute), (self._pidfd, False)):
            if not over:
                poll.register(source, select.POLLIN)
        if left:
            poll.register(stdin, select.POLLOUT)
        with interruptible():
            ready = poll.poll(seconds * 1000)
        if stdin.fileno() in (fd for fd, _ in ready):
            try:
                left = left[os.write(stdin.fileno(), left[:_PIECE]) :]
            except BrokenPipeError:  # it reads no more: whether it answers is seen next
                left = left[len(left) :]
        self._read()
        return left

    def _read(self) -> None:
        """Take what it has said by now, a line's length of it at the most."""
        _, stdout, stderr = self._pipes
        with suppress(BlockingIOError):
            while not self._silent and len(self._out) <= LINE_BYTES:
                piece = os.read(stdout.fileno(), _PIECE)
                self._out += piece
                self._silent = not piece
        with suppress(BlockingIOError):
            for _ in range(_PIPE_BYTES // _PIECE):  # one that never stops has its deadline
                if self._mute:
                    break
                piece = os.read(stderr.fileno(), _PIECE)
                self._err += piece
                del self._err[:-_STDERR_BYTES]
                self._mute = not piece

    def ask_to_end(self) -> None:
        """Close its stdin, and give it a moment."""
        self._pipes[0].close()
        self._await_end(_GRACE)

    def _await_end(self, seconds: float) -> None:
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        with interruptible():
            poll.poll(seconds * 1000)

    def close(self) -> None:
        """End it and all that it forked."""
        if self._namespace is not None:
            self._namespace.kill()
        self._child.kill()
        self._child.wait()
        self._end_namespace()
        if self._pidfd >= 0:
            self._read()
        for pipe in self._pipes:
            pipe.close()
        pidfd, self._pidfd = self._pidfd, -1
        if pidfd >= 0:
            os.close(pidfd)

    def _end_namespace(self) -> None:
        namespace, self._namespace = self._namespace, None
        if namespace is not None:
            namespace.close()


_TODO = "check that it is executable, and its first line names an interpreter that is there"
_SLOW = "raise its deadline in [command.deadlines], or look at what it wrote to stderr"


def _shown(text: bytes | bytearray) -> str:
    """The beginning of what it said, for an error."""
    return repr(bytes(text[:60]).decode(errors="replace"))
