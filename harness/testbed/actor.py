# SPDX-License-Identifier: Apache-2.0
"""A host of a testbed that can send."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from harness.topology import Host
from harness.traffic import Exchange, Flow, Transfer, datagrams, inject, ping, stream

if TYPE_CHECKING:
    from harness.topology import Family


class Actor:
    """A host with the testbed's address family, and verbs for traffic.

    Attributes of the host itself (`ns`, `mac`, `lxc`, `node`, …) are reached through it.
    """

    def __init__(self, host: Host, family: Family, record: Callable[[Flow], None]) -> None:
        self.host = host
        self.family = family
        self._record = record

    def __getattr__(self, name: str) -> Any:
        return getattr(self.host, name)

    @property
    def address(self) -> str:
        """Its main address in the testbed's family."""
        return self.host.addresses[self.family]

    def _target(self, target: Actor | str) -> str:
        return target if isinstance(target, str) else target.address

    def ping(self, target: Actor | str, count: int = 1, **options: Any) -> Exchange:
        """Ping a host or an address; see `traffic.ping` for `size`, `ttl`, `df`, `mark`."""
        exchange = ping(
            self.host.ns, self.family, options.pop("source", self.address),
            self._target(target), count, **options,
        )  # fmt: skip
        self._record(exchange.flow)
        return exchange

    def datagrams(self, target: Actor, count: int = 1, **options: Any) -> Exchange:
        """Exchange UDP datagrams with another host; see `traffic.datagrams`."""
        exchange = datagrams(
            self.host.ns, target.host.ns, self.family, self.address, target.address, count,
            **options,
        )  # fmt: skip
        self._record(exchange.flow)
        return exchange

    def stream(self, target: Actor, size: int, **options: Any) -> Transfer:
        """Send bytes over TCP; see `traffic.stream`."""
        transfer = stream(
            self.host.ns, target.host.ns, self.family, self.address, target.address, size, **options
        )
        self._record(transfer.flow)
        return transfer

    def inject(self, ifname: str, frames: Sequence[bytes], flow: Flow | None = None) -> None:
        """Put crafted frames on one of its interfaces; `flow` says what they belong to."""
        inject(self.host.ns, ifname, frames)
        if flow is not None:
            self._record(flow)
