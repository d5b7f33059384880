# SPDX-License-Identifier: Apache-2.0
"""Programs that are loaded, found by their id, whoever loaded them."""

from __future__ import annotations

import errno
import os

from harness.bpf import syscall
from harness.bpf.run_time import RunTime, program_run_time
from harness.plumbing.closable import Closable


class LoadedProgram(Closable):
    """A program of the kernel's, held by a descriptor: it lives as long, attached or not.

    Attributes:
        id: Its id; the kernel gives no id twice before it has given them all.
        fd: The descriptor.
        name: Its name, of at most 15 characters.
        tag: Its tag, 16 hexadecimal digits over its instructions.
        type: Its type, such as `syscall.PROG_TYPE_SCHED_CLS`.
    """

    def __init__(self, ident: int) -> None:
        """Open it.

        Raises:
            OSError: ENOENT: no such program is loaded.
        """
        self.id = ident
        self.fd = syscall.program_fd(ident)
        try:
            self.name, self.tag = syscall.program_name(self.fd), syscall.program_tag(self.fd)
            self.type = syscall.program_type(self.fd)
        except BaseException:
            self.close()
            raise

    def run_time(self) -> RunTime:
        """What its statistics hold so far."""
        return program_run_time(self.fd)

    def close(self) -> None:
        """Let go of it."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def loaded_program(ident: int) -> LoadedProgram | None:
    """The program of that id; None: it is not loaded any more."""
    try:
        return LoadedProgram(ident)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        return None
