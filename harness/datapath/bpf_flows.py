# SPDX-License-Identifier: Apache-2.0
"""The agent's part of bpf/flow.c, which every stage with a memory rests on: timeouts, entries."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import time
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

from harness.bpf.module import Module
from harness.datapath.policy import Timeouts
from harness.datapath.services import NAT_PORTS, Backend
from harness.topology import Family

#: Maps that only stages with flows have.
MAPS = (
    "flows4", "flows6", "fragments4", "fragments6", "flow_settings", "police_scratch4",
    "police_scratch6",
)  # fmt: skip
_EMPTIED = ("flows4", "flows6", "fragments4", "fragments6")
_CLOCK_MONOTONIC_COARSE = 6  # its resolution is a jiffy (ktime_get_coarse_ts64())
_LEAST, _PER_CPU = 16_384, 256  # entries: each CPU hoards up to 128 free ones before 6.16


def define() -> str:
    """The macro that builds flows in; their maps are as large as the machine needs."""
    return f"FLOWS={max(_LEAST, _PER_CPU * (os.cpu_count() or 1))}"


def jiffies(seconds: float) -> int:
    """A time in the kernel's ticks; what is not 0 is one at least."""
    return min(round(seconds / time.clock_getres(_CLOCK_MONOTONIC_COARSE)), 2**31 - 1) or (
        1 if seconds else 0
    )


@dataclass(frozen=True)
class FlowEntry:
    """One of the two entries of a flow.

    Attributes:
        source: The address in its key, and `port` its port.
        destination: Likewise, and `to_port`.
        protocol: IP protocol number.
        reply: Whether it is that of the way back.
        expires: When, in jiffies.
    """

    source: str
    port: int
    destination: str
    to_port: int
    protocol: int
    reply: bool
    expires: int


def _entry(family: Family, key: bytes, leaf: Any) -> FlowEntry:
    size = family.host_prefix // 8
    source, destination = (socket.inet_ntop(family.af, key[at : at + size]) for at in (0, size))
    port, to_port, protocol = struct.unpack_from("!HHB", key, 2 * size)
    return FlowEntry(source, port, destination, to_port, protocol, bool(leaf.state.reply),
                     int(leaf.state.expires))  # fmt: skip


class FlowMaps:
    """The flows of one node's programs."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._generation = 0

    def empty(self) -> None:
        """Forget what an earlier user of the module left there."""
        for name in _EMPTIED:
            self._module.empty(name)

    def flows(self, family: Family) -> list[FlowEntry]:
        """What flow.c remembers."""
        table = self._module.table(f"flows{family.value}")
        return [_entry(family, bytes(key), leaf) for key, leaf in table.items()]

    def forget(self, family: Family, *, reply: bool) -> None:
        """Delete the entries of one direction."""
        table = self._module.table(f"flows{family.value}")
        for key, leaf in list(table.items()):
            if bool(leaf.state.reply) is reply:
                del table[key]

    def forget_backends(self, gone: Collection[tuple[str, Backend]]) -> None:
        """Delete UDP flows that a service sent to backends it no longer has.

        A client that goes on sending would keep a dead one for ever. TCP finds out by itself.
        """
        for family in Family:
            ends = {
                socket.inet_pton(family.af, backend.address) + struct.pack("!H", backend.port)
                for protocol, backend in gone
                if protocol == "udp" and Family.of(backend.address) is family
            }
            if ends:
                self._forget_ends(family, ends)

    def _forget_ends(self, family: Family, ends: Collection[bytes]) -> None:
        table = self._module.table(f"flows{family.value}")
        size = family.host_prefix // 8
        for key, leaf in list(table.items()):
            back = bytes(key if leaf.state.reply else leaf.partner)
            answers = back[:size] + back[2 * size : 2 * size + 2]
            if (
                leaf.state.translated
                and answers in ends
                and back[2 * size + 4] == socket.IPPROTO_UDP
            ):
                del table[key]

    def write_settings(self, timeouts: Timeouts) -> None:
        """Put timeouts in force; every flow is judged anew by policy then."""
        self._generation += 1
        table = self._module.table("flow_settings")
        leaf = table.Leaf(generation=self._generation)
        each = {field.name: getattr(timeouts, field.name) for field in fields(timeouts)}
        for name, seconds in each.items():
            setattr(leaf, name, jiffies(seconds))
        leaf.renewal = jiffies(min([1, *(seconds / 8 for seconds in each.values() if seconds)]))
        if self._module.has_table("services4"):
            leaf.nat_first, leaf.nat_ports = NAT_PORTS.start, len(NAT_PORTS)
        table[ctypes.c_int(0)] = leaf
