# SPDX-License-Identifier: Apache-2.0
"""The programs on a packet's way through a testbed, run without a network: BPF_PROG_TEST_RUN.

They are those that the kernel lists on the nodes' devices, whoever loaded them. What they make of a
packet their return code tells.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from harness.attach import all_attachments
from harness.bpf import syscall
from harness.bpf.loaded import LoadedProgram, loaded_program
from harness.bpf.syscall import TestRun
from harness.bpf.syscall import test_run as run_program
from harness.plumbing.errors import InapplicableError, TrafficError
from harness.topology import Node, Pod

# Verdicts of tc, uapi/linux/pkt_cls.h; TC_ACT_UNSPEC, TCX's NEXT, is -1 as the kernel returns it.
TC_ACT_OK, TC_ACT_SHOT, TC_ACT_REDIRECT, _UNSPEC = 0, 2, 7, 0xFFFFFFFF


@dataclass(frozen=True)
class Hook:
    """One direction of a node's device, and the packet that comes to it.

    Attributes:
        node: The node.
        ifname: The device.
        direction: `ingress` or `egress`.
        frame: The packet, from its Ethernet header on.
        came_by: The device by which it came to the node.
    """

    node: Node
    ifname: str
    direction: str
    frame: bytes
    came_by: str

    def __str__(self) -> str:
        return f"{self.node.name}:{self.ifname} {self.direction}"

    @contextmanager
    def programs(self) -> Iterator[list[LoadedProgram]]:
        """The tc programs there, in the kernel's order, held while the context is open."""
        with ExitStack() as closing:
            found = []
            for entry in all_attachments(self.node.ns, self.ifname):
                if entry.direction == self.direction and (program := loaded_program(entry.id)):
                    closing.callback(program.close)
                    found.append(program)
            yield [each for each in found if each.type == syscall.PROG_TYPE_SCHED_CLS]

    def run(self, program: LoadedProgram, repeat: int = 1) -> TestRun:
        """Run a program on the packet; nothing is transmitted.

        Raises:
            TrafficError: The kernel refused.
        """
        device, origin = (self.node.ifindex(name) for name in (self.ifname, self.came_by))
        try:
            with self.node.ns:
                return run_program(program.fd, self.frame, repeat, device, origin)
        except OSError as error:
            raise TrafficError(
                f"{program.name} on {self.node.name}: BPF_PROG_TEST_RUN failed ({error.strerror})"
            ) from None

    @contextmanager
    def redirecting(self) -> Iterator[LoadedProgram]:
        """The first program there that redirects the packet, held while the context is open.

        Raises:
            InapplicableError: No program is attached, or none redirects it.
        """
        with self.programs() as programs:
            found = self._first(programs, (TC_ACT_REDIRECT,))
            if found is None:
                raise InapplicableError(self._without(programs))
            yield found

    @contextmanager
    def taking(self) -> Iterator[LoadedProgram | None]:
        """The first that redirects the packet or, where none does, lets it pass; None: none is.

        Raises:
            InapplicableError: Every program there drops it.
        """
        with self.programs() as programs:
            found = self._first(programs, (TC_ACT_REDIRECT,))
            found = found or self._first(programs, (TC_ACT_OK, _UNSPEC))
            if programs and found is None:
                raise InapplicableError(self._without(programs))
            yield found

    def _first(
        self, programs: Sequence[LoadedProgram], verdicts: Container[int]
    ) -> LoadedProgram | None:  # fmt: skip
        return next((each for each in programs if self.run(each).action in verdicts), None)

    def _without(self, programs: Sequence[LoadedProgram]) -> str:
        """Why none of the programs will do."""
        if not programs:
            return f"no program attached at {self}"
        found = (f"{each.name} returned {_signed(self.run(each).action)}" for each in programs)
        return f"no program at {self} redirects the test packet ({', '.join(found)})"


def hook_of(pod: Pod, frame: bytes) -> Hook:
    """Where a packet that a pod sends comes to its node: the host-side device's ingress."""
    return Hook(pod.node, pod.lxc, "ingress", frame, pod.lxc)


def _signed(action: int) -> int:
    return action - (1 << 32) if action >> 31 else action
