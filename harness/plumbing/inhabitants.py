# SPDX-License-Identifier: Apache-2.0
"""Ends what lives in network namespaces: a process in one keeps it, and all in it, alive.

Also a program of its own, that needs nothing of ours: it waits for the end of its standard input,
thus of whoever started it, SIGKILL included, and then ends the inhabitants of the namespaces whose
descriptors it was given.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


def end_inhabitants(namespaces: Sequence[int]) -> None:
    """Kill every process in them but this one, until there is none.

    Args:
        namespaces: Descriptors; they keep the namespaces' numbers from being given to others.
    """
    inums = {os.fstat(fd).st_ino for fd in namespaces}
    found = True
    while found:
        found = False
        for entry in Path("/proc").glob("[0-9]*/ns/net"):
            pid = int(entry.parts[2])
            with suppress(OSError):
                if pid != os.getpid() and entry.stat().st_ino in inums:
                    os.kill(pid, signal.SIGKILL)
                    found = True


@contextmanager
def ended_with_us(namespaces: Sequence[int]) -> Iterator[None]:
    """While the block runs, whatever ends this process ends the inhabitants too.

    Args:
        namespaces: Descriptors.
    """
    watcher = subprocess.Popen(
        [sys.executable, "-I", __file__, *map(str, namespaces)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        pass_fds=namespaces,
        start_new_session=True,  # Ctrl-C and a closed terminal are not for it
    )  # fmt: skip
    try:
        yield
    finally:
        watcher.kill()  # what it waits for is done by whoever uses this
        watcher.communicate()


def _watch() -> None:
    sys.stdin.buffer.read()
    end_inhabitants([int(text) for text in sys.argv[1:]])


if __name__ == "__main__":
    _watch()
