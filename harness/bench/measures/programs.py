# SPDX-License-Identifier: Apache-2.0
"""The BPF programs of a testbed, for measures that are about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from harness.attach import all_attachments
from harness.bpf.loaded import LoadedProgram, loaded_program
from harness.plumbing.errors import InapplicableError
from harness.testbed import Testbed


@contextmanager
def attached_programs(testbed: Testbed) -> Iterator[dict[int, LoadedProgram]]:
    """Every program on any device of any node, by its id, held while the context is open."""
    with ExitStack() as closing:
        found: dict[int, LoadedProgram] = {}
        for node in testbed.network.nodes:
            for ident in {entry.id for entry in all_attachments(node.ns)} - found.keys():
                program = loaded_program(ident)
                if program is not None:
                    closing.callback(program.close)
                    found[ident] = program
        yield found


def entered_programs(testbed: Testbed) -> set[int]:
    """Ids of the programs that what the first pod sends comes to on its node.

    Raises:
        InapplicableError: There is none.
    """
    client = testbed.network.pods[0]
    found = {
        entry.id
        for entry in all_attachments(client.node.ns, client.lxc)
        if entry.direction == "ingress"
    }
    if not found:
        raise InapplicableError(f"no program attached at {client.node.name}:{client.lxc} ingress")
    return found
