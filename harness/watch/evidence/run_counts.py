# SPDX-License-Identifier: Apache-2.0
"""How often every program on the nodes' devices ran, as the kernel counts it (BPF_ENABLE_STATS).

Needs nothing of a datapath: programs are found by what the kernel lists, whoever loaded them. One
that is tail-called counts in the program that was entered; one on several devices has one count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from harness.attach import all_attachments
from harness.bpf.loaded import LoadedProgram, loaded_program
from harness.bpf.run_time import run_time_statistics
from harness.plumbing.closable import Closable
from harness.topology import Node


@dataclass(frozen=True)
class Place:
    """One direction of a node's device.

    Attributes:
        node: The node's name.
        interface: The device's.
        direction: `ingress` or `egress`.
    """

    node: str
    interface: str
    direction: str = "ingress"

    def __str__(self) -> str:
        device = f"{self.node}:{self.interface}"
        return device if self.direction == "ingress" else f"{device} {self.direction}"


@dataclass(frozen=True)
class Ran:
    """A program, and how often it ran, at all its places together.

    Attributes:
        id: The kernel's id of it.
        program: Its name, of at most 15 characters.
        tag: Its tag.
        runs: How often it ran while the runs were counted.
        places: Where it is attached, each once.
    """

    id: int
    program: str
    tag: str
    runs: int
    places: tuple[Place, ...]


#: Id → where the kernel lists that program, each place once.
_Places = dict[int, list[Place]]


class RunCounts(Closable):
    """Counts from now on until `finish`; closing it lets the kernel stop counting."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        """Begin.

        Raises:
            HarnessError: Something is being measured, which counting would slow down.
            KernelError: The kernel does not count.
        """
        self._nodes = list(nodes)
        self._closing = ExitStack()
        self._programs: dict[int, LoadedProgram] = {}
        self._names: dict[int, str] = {}
        self._found: tuple[list[Ran], list[Ran], list[Ran]] | None = None
        try:
            self._closing.enter_context(run_time_statistics())
            listed = self._listed()
            for ident in listed:
                self._hold(ident)
            self._places = {ident: listed[ident] for ident in self._programs}
            self._before = self._runs()
        except BaseException:
            self.close()
            raise

    def _listed(self) -> _Places:
        found: _Places = {}
        for node in self._nodes:
            for entry in all_attachments(node.ns):
                place = Place(node.name, entry.interface, entry.direction)
                places = found.setdefault(entry.id, [])
                if place not in places:
                    places.append(place)
                self._names.setdefault(entry.id, entry.program)
        return found

    def _hold(self, ident: int) -> None:
        """Keep a program, which may be detached later, to the end; one that is gone is none."""
        program = loaded_program(ident)
        if program is not None:
            self._closing.callback(program.close)
            self._programs[ident] = program

    def _runs(self) -> dict[int, int]:
        return {ident: program.run_time().runs for ident, program in self._programs.items()}

    def finish(self) -> None:
        """Take the second reading; call it when the traffic has ended."""
        runs = self._runs()  # first: to list them takes time
        after = self._listed()
        for ident in after.keys() - self._programs.keys():
            self._hold(ident)
        runs = self._runs() | runs
        old, new = self._places, after
        self._found = (
            self._ran(runs, {at: [p for p in old[at] if p in new.get(at, ())] for at in old}),
            self._ran(runs, {at: [p for p in new[at] if p not in old.get(at, ())] for at in new}),
            self._ran(runs, {at: [p for p in old[at] if p not in new.get(at, ())] for at in old}),
        )

    def _ran(self, runs: Mapping[int, int], places: _Places) -> list[Ran]:
        found = []
        for ident, there in places.items():
            program = self._programs.get(ident)
            if there and program is not None:
                name = program.name or self._names[ident] or f"program {ident}"
                count = runs[ident] - self._before.get(ident, 0)
                found.append(Ran(ident, name, program.tag, count, tuple(there)))
        return found

    @property
    def _results(self) -> tuple[list[Ran], list[Ran], list[Ran]]:
        if self._found is None:
            raise RuntimeError("runs are still being counted: leave the `with` block first")
        return self._found

    @property
    def programs(self) -> list[Ran]:
        """Every program that was attached at both ends of the block, and where it stayed."""
        return self._results[0]

    @property
    def came(self) -> list[Ran]:
        """Programs and where they were attached meanwhile; runs since they were loaded, if new."""
        return self._results[1]

    @property
    def went(self) -> list[Ran]:
        """Programs and where they were detached meanwhile, or their device was deleted."""
        return self._results[2]

    def at(self, node: str, interface: str, direction: str = "ingress") -> list[Ran]:
        """The programs attached there at both ends of the block, in the kernel's order."""
        place = Place(node, interface, direction)
        return [ran for ran in self.programs if place in ran.places]

    def unmatched(self, packets: Mapping[Place, int] | Mapping[str, int]) -> list[str]:
        """The places where no program ran for every packet, each with what was found there.

        At each place named, some program must have been attached throughout, and have run at least
        as often as packets came to all places it is attached to. What comes to another place might
        be in its count, so every place that a program shares has to be named.

        Args:
            packets: A place, or its device as `master:lxc1` (ingress) → packets that entered there.

        Returns:
            Lines such as `master:lxc1: no program attached`; none: it is proven.
        """
        expected = {_place(key): count for key, count in packets.items()}
        found = {place: self._fault(place, expected) for place in expected}
        return [f"{place}: {fault}" for place, fault in found.items() if fault]

    def _fault(self, place: Place, expected: Mapping[Place, int]) -> str:
        """Why no program ran as often as it should have there; "": one did."""
        faults = []
        for ran in self.at(place.node, place.interface, place.direction):
            passing = [p for many in (self.came, self.went) for r in many if r.id == ran.id
                       for p in r.places]  # fmt: skip
            elsewhere = [p for p in ran.places if p not in expected] + passing
            wanted = sum(expected.get(p, 0) for p in ran.places)
            if not elsewhere and ran.runs >= wanted:
                return ""
            faults.append(_told(ran, wanted, elsewhere))
        faults = faults or ["no program attached"]
        for change, many in (("came", self.came), ("went", self.went)):
            faults += [f"{ran.program} {change} meanwhile" for ran in many if place in ran.places]
        return "; ".join(faults)

    def close(self) -> None:
        """Let go of the programs, and of the statistics."""
        self._closing.close()


def _place(key: Place | str) -> Place:
    if isinstance(key, Place):
        return key
    node, _, interface = key.partition(":")
    return Place(node, interface)


def _told(ran: Ran, wanted: int, elsewhere: Sequence[Place]) -> str:
    """Why a program's count is not enough."""
    shared = f" at {', '.join(map(str, ran.places))}" if len(ran.places) > 1 else ""
    told = f"{ran.program} ran {ran.runs} times, {wanted} packets entered{shared}"
    if elsewhere:
        told += f", and what came to {', '.join(map(str, elsewhere))} is not known"
    return told
