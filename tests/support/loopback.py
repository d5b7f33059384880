# SPDX-License-Identifier: Apache-2.0
"""Traffic over the machine's own loopback, which needs no root."""

import os
import socket
from pathlib import Path

import pytest

from harness.plumbing import pid_namespace
from harness.topology import Family

ADDRESSES = ("127.0.0.1", "127.0.0.1")


class Here:
    """The caller's own namespace, in the place of a pod's."""

    def __init__(self, name="here"):
        self.name = name
        self._fd = os.open("/proc/self/ns/net", os.O_RDONLY)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def __del__(self):
        os.close(self._fd)

    def fileno(self):
        return self._fd

    def socket(self, family, kind, proto=0):
        return socket.socket(family, kind, proto)

    def read(self, path):
        return Path(path).read_text(encoding="ascii")

    def sysctl(self, key, value):
        """The machine's own stay as they are."""


def ends(client="pod1", server="pod2"):
    """What every flow is made of: namespaces, family and addresses."""
    return Here(client), Here(server), Family.ipv4, ADDRESSES


def cpus():
    """The client's CPU and the server's; the same where there is one only."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[-1], allowed[0]


def descendants():
    """Pid → pid of its parent, of every process that comes from this one and has work to do."""
    parents, keeper = {}, pid_namespace.first_process()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if stat[0] != "Z" and int(entry.name) != keeper:
            parents[int(entry.name)] = int(stat[1])
    found, known = {}, {os.getpid()}
    while more := {pid: parent for pid, parent in parents.items()
                   if parent in known and pid not in known}:  # fmt: skip
        found |= more
        known |= more.keys()
    return found


needs_two_cpus = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="one CPU only is allowed here"
)
