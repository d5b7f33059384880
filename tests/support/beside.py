# SPDX-License-Identifier: Apache-2.0
"""The bundled programs attached elsewhere: where other CNIs attach theirs."""

from __future__ import annotations

import dataclasses
from typing import Any

from harness.attach import HOOKS
from harness.attach.clsact import PARENTS
from harness.bpf import pool
from harness.datapath import DATAPATHS, NodeSettings
from harness.datapath.bpf import LOADED, HostRouting, InstalledBpf
from harness.topology import Node
from testbeds.faults import TC_ACT_UNSPEC, program_returning
from tests.support import foreign_programs as foreign


class _AtPriorityOne(InstalledBpf):
    """At clsact's priority 1, handle 1, as a CNI's default is."""

    def _attach(self, hook: str, program: str, device: str, direction: str) -> None:
        del hook
        foreign.attach(self.node, device, self.module.fd(program), PARENTS[direction], 1)

    def remove(self) -> None:
        """Give the module back; what is attached goes with its device."""
        pool.give_back(self.module)


class _AtBoth(_AtPriorityOne):
    """Behind a program of the same CNI that TCX runs first."""

    def _attach(self, hook: str, program: str, device: str, direction: str) -> None:
        super()._attach(hook, program, device, direction)
        ns, ifindex = self.node.ns, self.node.ifindex(device)
        with program_returning(TC_ACT_UNSPEC) as fd:
            self._attached.append(HOOKS["tcx"].attach(ns, ifindex, direction, fd, "cni"))

    def remove(self) -> None:
        """Detach what is a link of ours, and give the module back."""
        InstalledBpf.remove(self)


@dataclasses.dataclass(frozen=True)
class _Elsewhere(HostRouting):
    installed: Any = None

    def install(self, node: Node, settings: NodeSettings) -> InstalledBpf:
        """Attach the programs there."""
        del settings
        made: InstalledBpf = self.installed(self.name, node, pool.take(self.source, LOADED))
        return made


_BPF: Any = DATAPATHS["bpf"]
PRIORITY_ONE = _Elsewhere("priority-one", _BPF.summary, _BPF.needs, installed=_AtPriorityOne)
BOTH = _Elsewhere("both-hooks", _BPF.summary, _BPF.needs | {"tcx"}, installed=_AtBoth)
