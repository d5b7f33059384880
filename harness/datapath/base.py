# SPDX-License-Identifier: Apache-2.0
"""What a datapath is, and what it is once installed on a node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

from harness.attach import Listed
from harness.datapath.claims import Claims
from harness.datapath.policy import Policy
from harness.datapath.requirements import Decision
from harness.datapath.services import Service
from harness.datapath.settings import NodeSettings
from harness.topology import Node

_Key = TypeVar("_Key")


def _moved(after: dict[_Key, int], before: dict[_Key, int]) -> dict[_Key, int]:
    changes = {key: value - before.get(key, 0) for key, value in after.items()}
    return {key: change for key, change in changes.items() if change}


@dataclass(frozen=True)
class Counters:
    """What a node's programs counted; sums over CPUs.

    Attributes:
        hits: (program, verdict) → packets.
        drops: Reason → packets.
        fib: Lookup result → lookups.
    """

    hits: dict[tuple[str, str], int] = field(default_factory=dict)
    drops: dict[str, int] = field(default_factory=dict)
    fib: dict[str, int] = field(default_factory=dict)

    def __sub__(self, before: Counters) -> Counters:
        """What was counted since `before`; keys that did not move are left out."""
        return Counters(
            _moved(self.hits, before.hits),
            _moved(self.drops, before.drops),
            _moved(self.fib, before.fib),
        )

    def __str__(self) -> str:
        parts = [f"{program} {verdict} {n}" for (program, verdict), n in sorted(self.hits.items())]
        parts += [f"drop {reason} {n}" for reason, n in sorted(self.drops.items())]
        parts += [f"fib {result} {n}" for result, n in sorted(self.fib.items())]
        return ", ".join(parts) or "nothing counted"


class Installed(Protocol):
    """A datapath on a node."""

    @property
    def name(self) -> str:
        """The datapath that runs, which may not be the one asked for."""
        ...

    def await_ready(self) -> None:
        """Return when it forwards; what takes its time, many nodes may do at once."""
        ...

    def counters(self) -> Counters:
        """What its programs counted since it was installed; empty where they count nothing."""
        ...

    def attachments(self) -> list[Listed]:
        """Its programs on the node's hooks, as the kernel lists them."""
        ...

    def sync(self) -> None:
        """Tell the programs of addresses and links that changed since."""
        ...

    def describe(self) -> str:
        """The whole name for a report: rules or program tags included."""
        ...

    def remove(self) -> None:
        """Give back what does not die with the namespace."""
        ...

    def reload(self) -> None:
        """After `remove`: load the programs again, for the next installation."""
        ...


@runtime_checkable
class Datapath(Protocol):
    """A kind of datapath, registered in `harness.datapath.DATAPATHS`."""

    @property
    def name(self) -> str:
        """As in `--datapath`."""
        ...

    @property
    def summary(self) -> str:
        """What forwards, in a few words."""
        ...

    @property
    def needs(self) -> frozenset[str]:
        """What it needs of the kernel: names of `features.FEATURES`."""
        ...

    @property
    def claims(self) -> Claims:
        """What it says it does, and is judged by. No requirement applies if it bypasses nothing."""
        ...

    def install(self, node: Node, settings: NodeSettings) -> Installed:
        """Begin to put it on a node: see `Installed.await_ready`."""
        ...


@runtime_checkable
class InstallsTogether(Protocol):
    """A datapath that goes onto all nodes of a testbed at once: one process serves them all."""

    def install_all(self, nodes: Sequence[Node], settings: NodeSettings) -> Sequence[Installed]:
        """As `Datapath.install` for each node; the first `remove` may take all back."""
        ...


@runtime_checkable
class Serves(Protocol):
    """An installed datapath that translates services, and can be given others."""

    def serve(self, services: Sequence[Service]) -> None:
        """Translate these from now on, without a restart; forget UDP flows to backends gone."""
        ...


@runtime_checkable
class Enforces(Protocol):
    """An installed datapath that holds pods to rules, and can be given others."""

    def enforce(self, policy: Policy) -> None:
        """Put other rules in force, without a restart."""
        ...


@runtime_checkable
class Reports(Protocol):
    """An installed datapath that has more to say when a test failed. Nothing is asserted on it."""

    def report(self) -> Mapping[str, str]:
        """Title → text."""
        ...


@dataclass(frozen=True)
class NodeDatapath:
    """What was asked of a node and what it runs.

    Attributes:
        node: The node.
        asked: The datapath asked for.
        decision: Why it runs what it runs; None where no requirement applies (`legacy`).
        installed: What runs.
    """

    node: Node
    asked: str
    decision: Decision | None
    installed: Installed

    @property
    def degraded(self) -> bool:
        """Whether host routing was asked for and legacy runs."""
        return self.decision is not None and not self.decision.bpf

    def status(self) -> str:
        """One line for reports; says what is attached, not what was asked for."""
        attached = self.installed.attachments()
        hooks = ", ".join(dict.fromkeys(row.hook for row in attached))
        tail = (
            f"{len(attached)} programs attached by {hooks}" if attached else "no program attached"
        )
        head = self.decision if self.decision is not None else "Host Routing: Legacy (asked for)"
        return f"{self.node.name}: {head}; {self.installed.describe()}; {tail}"
