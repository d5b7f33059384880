# SPDX-License-Identifier: Apache-2.0
"""Who may talk to whom: rules as an operator writes them, and what they come to.

As Kubernetes' NetworkPolicy has it: a pod that no rule selects in a direction is open in it; any
other is denied what no rule allows; a rule that denies beats those that allow; a node reaches its
own pods.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network

from harness.plumbing.errors import UnknownNameError
from harness.topology import Family

ANY = "any"
EVERY_POD = "*"
DIRECTIONS = ("egress", "ingress")
VERDICTS = ("allow", "deny")
#: Protocol → its number, by family; "any" is 0.
PROTOCOLS: Mapping[str, Mapping[Family, int]] = {
    ANY: {Family.ipv4: 0, Family.ipv6: 0},
    "tcp": {Family.ipv4: 6, Family.ipv6: 6},
    "udp": {Family.ipv4: 17, Family.ipv6: 17},
    "icmp": {Family.ipv4: 1, Family.ipv6: 58},
}
_WITH_PORTS = ("tcp", "udp")
_Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Rule:
    """What a pod may do, or may not, in one direction.

    Attributes:
        pod: Whose rule it is; `*`: every pod's.
        direction: `egress`: flows that the pod begins; `ingress`: flows that others begin.
        verdict: `allow` or `deny`.
        network: Where the other end is, such as `10.0.2.0/24`; `any`: anywhere, in both families.
        protocol: One of `PROTOCOLS`.
        port: The port that the flow goes to; None: any.

    Raises:
        UnknownNameError: One of them cannot be.
    """

    pod: str
    direction: str
    verdict: str = "allow"
    network: str = ANY
    protocol: str = ANY
    port: int | None = None

    def __post_init__(self) -> None:
        known = {"direction": DIRECTIONS, "verdict": VERDICTS, "protocol": tuple(PROTOCOLS)}
        for name, values in known.items():
            value = getattr(self, name)
            if value not in values:
                self._refuse(f"{name} {value!r} is unknown", f"use {', '.join(values)}")
        try:
            _ = self.within
        except ValueError as error:
            self._refuse(f"network {self.network!r}: {error}", "write it as 10.0.2.0/24, or any")
        if self.port is None:
            return
        if self.protocol not in _WITH_PORTS:
            self._refuse(f"port {self.port} of protocol {self.protocol}", "name tcp or udp")
        if type(self.port) is not int or not 0 < self.port < 1 << 16:
            self._refuse(f"port {self.port!r} is not between 1 and 65535", "leave it out for any")

    def _refuse(self, what: str, todo: str) -> None:
        raise UnknownNameError(f"policy rule of {self.pod}: {what}", todo)

    @property
    def within(self) -> _Network | None:
        """Its network; None: any."""
        return None if self.network == ANY else ip_network(self.network)

    def covers(self, network: _Network | None) -> bool:
        """Whether it holds for all of a network; None: for what is in no network of any rule."""
        own = self.within
        if own is None or network is None:
            return own is None
        if isinstance(own, IPv4Network):
            return isinstance(network, IPv4Network) and network.subnet_of(own)
        return isinstance(network, IPv6Network) and network.subnet_of(own)


@dataclass(frozen=True)
class Timeouts:
    """How long a flow is remembered without a packet, in seconds.

    Attributes:
        tcp_established: A TCP connection.
        tcp_syn: One that was not answered.
        tcp_closing: One that was reset, or closed by both ends.
        udp: UDP, and every protocol that is not named here.
        icmp: ICMP.
        fragment: The ports of a packet in fragments.

    Raises:
        UnknownNameError: A timeout is not between 0 and 1,000,000 seconds.
    """

    tcp_established: float = 8000
    tcp_syn: float = 60
    tcp_closing: float = 10
    udp: float = 60
    icmp: float = 30
    fragment: float = 30

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not (math.isfinite(value) and 0 <= value <= 1_000_000):
                raise UnknownNameError(
                    f"policy timeout {each.name}={value} is not between 0 and 1000000 seconds"
                )


@dataclass(frozen=True)
class Policy:
    """A cluster's rules, and for how long flows are remembered.

    Attributes:
        rules: The rules, in no order; none: every pod is open.
        timeouts: Of flows.
    """

    rules: tuple[Rule, ...] = ()
    timeouts: Timeouts = field(default_factory=Timeouts)

    def check(self, pods: Iterable[str]) -> None:
        """Refuse rules of pods that do not exist.

        Raises:
            UnknownNameError: There is one.
        """
        known = sorted(pods)
        for rule in self.rules:
            if rule.pod not in (EVERY_POD, *known):
                raise UnknownNameError(
                    f"policy rule names unknown pod {rule.pod!r}", f"use {', '.join(known)}"
                )

    def of(self, pod: str, direction: str) -> tuple[Rule, ...]:
        """A pod's rules in one direction."""
        return tuple(
            rule for rule in self.rules
            if rule.pod in (pod, EVERY_POD) and rule.direction == direction
        )  # fmt: skip


def networks(rules: Iterable[Rule]) -> list[_Network]:
    """Every network that a rule names, once, in order."""
    found = {rule.within for rule in rules} - {None}
    return sorted(filter(None, found), key=lambda n: (n.version, n.network_address, n.prefixlen))


def verdicts(
    rules: Iterable[Rule], network: _Network | None, family: Family
) -> dict[tuple[int, int], str]:
    """What a pod's rules in one direction say of a network's addresses that no narrower one has.

    Args:
        rules: The pod's rules.
        network: Where the other end is; None: in no network of any rule.
        family: Whose protocol numbers are wanted.

    Returns:
        (protocol, port), 0 being any → `allow` or `deny`. The narrower of those that fit a packet
        speaks; what none fits is denied.
    """
    covering = [rule for rule in rules if rule.covers(network)]
    keys = {(rule.protocol, rule.port) for rule in covering}
    found = {}
    for protocol, port in keys:
        fitting = [
            rule.verdict for rule in covering
            if rule.protocol in (ANY, protocol) and rule.port in (None, port)
        ]  # fmt: skip
        number = PROTOCOLS[protocol][family]
        found[number, port or 0] = "deny" if "deny" in fitting else "allow"
    return found


#: Every pod is selected in both directions, and may do all: each packet is judged, none is refused.
IN_USE = Policy(tuple(Rule(EVERY_POD, direction) for direction in DIRECTIONS))
