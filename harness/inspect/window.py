# SPDX-License-Identifier: Apache-2.0
"""What a node does with its pods' packets between two moments.

The readings are nested, so that traffic that goes on meanwhile can hide a bypass and never feign
one: run counts begin first and end last, then the stack's counters, then the node's ends of the
pods' pairs, then the pods' own ends.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial

from harness.bpf.loaded import LoadedProgram, loaded_program
from harness.bpf.run_time import run_time_statistics
from harness.inspect.asked import Asked
from harness.inspect.counting import Counted, StackCounters
from harness.inspect.devices import Counters, Device, far_end, links
from harness.inspect.found import Found
from harness.inspect.notes import Notes
from harness.plumbing.closable import Closable
from harness.plumbing.errors import KernelError
from harness.plumbing.netns import NetNS
from harness.watch.evidence import snmp

#: Counters of /proc/net/snmp and snmp6 (RFC 4293).
_FORWARDED = ("IpForwDatagrams", "Ip6OutForwDatagrams")
_ENTERED = ("IpInReceives", "Ip6InReceives")


@dataclass
class Pair:
    """What a pod's pair counted.

    Attributes:
        node: The node's end.
        pod: The pod's end; None: it cannot be asked.
    """

    node: Counters
    pod: Counters | None


@dataclass
class Seen:
    """Everything that was counted in a window.

    Attributes:
        seconds: How long it was.
        pairs: lxc → what its pair counted; pods that came or went meanwhile are left out.
        outward: Uplink or tunnel → what it counted.
        runs: Program's id → how often it ran. Empty: the kernel does not count them.
        stack: What entered the stack; None: it was not counted, and `forwarded` is all there is.
        asked: Device → ARP and neighbour discovery that came in by it.
        forwarded: Packets that the stack forwarded by its own count, both families.
        entered: Packets that it received, likewise, the node's own ones too.
    """

    seconds: float = 0.0
    pairs: dict[str, Pair] = field(default_factory=dict)
    outward: dict[str, Counters] = field(default_factory=dict)
    runs: dict[int, int] = field(default_factory=dict)
    stack: Counted | None = None
    forwarded: int = 0
    asked: dict[str, int] = field(default_factory=dict)
    entered: int = 0


@dataclass
class _Reading:
    links: dict[int, Device]
    ends: dict[int, Device]
    stack: dict[str, int]


def stack_counters(ns: NetNS) -> dict[str, int]:
    """The stack's own; a kernel that was booted with ipv6.disable=1 has one family's alone."""
    counters = snmp.parse_snmp(ns.read("/proc/net/snmp"))
    with suppress(FileNotFoundError):
        counters |= snmp.parse_snmp6(ns.read("/proc/net/snmp6"))
    return counters


class Window(Closable):
    """Counts from now on until `finish`; closing it takes everything off the node again."""

    def __init__(self, ns: NetNS, found: Found, notes: Notes, *, passive: bool = False) -> None:
        """Begin.

        Args:
            ns: The node's namespace.
            found: What is there.
            notes: Takes what cannot be counted.
            passive: Touch nothing: read /proc and the devices alone.
        """
        self._ns, self._found, self._notes = ns, found, notes
        self._closing = ExitStack()
        self._programs: dict[int, LoadedProgram] = {}
        self._counters: StackCounters | None = None
        self._asked: Asked | None = None
        try:
            if not passive:
                self._hold()
                self._runs = self._read_runs()
                self._counters = notes.attempt("counting in the stack", self._install, None)
                self._asked = notes.attempt("counting pods' ARP", self._listen, None)
            else:
                self._runs = {}
            self._begin = time.monotonic()
            self._before = self._read_devices(node_first=True)
        except BaseException:
            self.close()
            raise

    def _hold(self) -> None:
        """Have the kernel count programs' runs, and keep those that are there to the end."""
        if not self._notes.attempt("run counts", self._count_runs, False):
            return
        for ident in {each.id for each in self._found.programs}:
            program = self._notes.attempt("run counts", partial(loaded_program, ident), None)
            if program is not None:
                self._closing.callback(program.close)
                self._programs[ident] = program

    def _count_runs(self) -> bool:
        self._closing.enter_context(run_time_statistics())
        return True

    def _install(self) -> StackCounters:
        if lacks := self._found.kernel.lacks:
            raise KernelError(
                f"the kernel has not loaded {', '.join(lacks)}", "load nf_tables and nft_counter"
            )
        here = self._found.devices
        names = [each.name for each in (*here.lxcs, *here.uplinks, *here.tunnels)]
        counters = StackCounters(self._ns, names)
        self._closing.callback(counters.close)
        for hook, why in counters.absent.items():
            self._notes.add(f"counting at devices' {hook}", why)
        return counters

    def _listen(self) -> Asked | None:
        """Where programs redirect, they may answer ARP too."""
        lxcs = {each.name for each in self._found.devices.lxcs}
        if not any(p.interface in lxcs and (p.redirects or p.hidden) for p in self._found.programs):
            return None
        asked = Asked(self._ns)
        self._closing.callback(asked.close)
        return asked

    def _read_runs(self) -> dict[int, int]:
        return {ident: each.run_time().runs for ident, each in self._programs.items()}

    def _read_devices(self, *, node_first: bool) -> _Reading:
        reading = _Reading({}, {}, {})
        for step in (self._read_links, self._read_ends)[:: 1 if node_first else -1]:
            step(reading)
        reading.stack = stack_counters(self._ns)
        return reading

    def _risen_in_stack(self, after: _Reading, names: Iterable[str]) -> int:
        return sum(after.stack.get(name, 0) - self._before.stack.get(name, 0) for name in names)

    def _read_links(self, reading: _Reading) -> None:
        reading.links = {each.ifindex: each for each in links(self._ns)}

    def _read_ends(self, reading: _Reading) -> None:
        for pod in self._found.devices.pods:
            end = far_end(self._ns, pod.lxc) if pod.interface else None
            if end is not None:
                reading.ends[pod.lxc.ifindex] = end

    def look(self) -> Seen:
        """What was counted so far."""
        after = self._read_devices(node_first=False)
        stack = None
        if self._counters is not None:
            stack = self._notes.attempt("counting in the stack", self._counters.read, None)
        asked = self._asked.read() if self._asked is not None else {}
        runs = self._read_runs()
        seen = Seen(time.monotonic() - self._begin, stack=stack, asked=asked)
        seen.runs = {ident: count - self._runs[ident] for ident, count in runs.items()}
        seen.forwarded = self._risen_in_stack(after, _FORWARDED)
        seen.entered = self._risen_in_stack(after, _ENTERED)
        for pod in self._found.devices.pods:
            self._take_pair(seen, pod.lxc, after)
        here = self._found.devices
        for uplink in (*here.uplinks, *here.tunnels):
            counted = self._difference(uplink, after)
            if counted is not None:
                seen.outward[uplink.name] = counted
        return seen

    def _difference(self, device: Device, after: _Reading) -> Counters | None:
        """What a device counted; None: it is gone, another, or began anew."""
        old, new = self._before.links.get(device.ifindex), after.links.get(device.ifindex)
        if old is None or new is None or (old.nsid, old.peer) != (new.nsid, new.peer):
            self._notes.add(device.name, "went meanwhile, and is not counted")
            return None
        return self._risen(device.name, old.counters, new.counters)

    def _risen(self, name: str, old: Counters, new: Counters) -> Counters | None:
        if new.rx < old.rx or new.tx < old.tx:
            self._notes.add(name, "its counters were set back meanwhile, and are not counted")
            return None
        return new - old

    def _take_pair(self, seen: Seen, lxc: Device, after: _Reading) -> None:
        node = self._difference(lxc, after)
        if node is None:
            return
        old, new = self._before.ends.get(lxc.ifindex), after.ends.get(lxc.ifindex)
        pod = None
        if old is not None and new is not None:
            pod = self._risen(f"the pod at {lxc.name}", old.counters, new.counters)
        seen.pairs[lxc.name] = Pair(node, pod)

    def close(self) -> None:
        """Take the counters off, let go of the programs and of the statistics."""
        self._closing.close()
