# SPDX-License-Identifier: Apache-2.0
"""What an operator asked of a node."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Literal

from harness.datapath.policy import Policy
from harness.datapath.services import SERVICE_NETWORKS, Service, check
from harness.plumbing.errors import UnknownNameError

_CHOICES: dict[str, tuple[object, ...]] = {
    "host_routing": (True, False),
    "routing": ("direct", "tunnel", "none"),
    "services": ("none", "bpf", "iptables"),
    "masquerade": ("none", "bpf", "iptables"),
    "choice": ("random", "maglev"),
}


@dataclass(frozen=True)
class NodeSettings:
    """A node's configuration: what decides between BPF and Legacy, and what either carries out.

    Attributes:
        host_routing: False: the operator switched BPF host routing off.
        routing: How pods of other nodes are reached.
        services: Who translates services: nobody, BPF, or kube-proxy's iptables rules.
        masquerade: Who masquerades pod → world: nobody, BPF, or iptables.
        policy: Rules of who may talk to whom; None: nobody asks for policy, and nothing of it is
            built in. `Policy()` has no rules yet.
        legacy_services: How many idle services' worth of kube-proxy rules the legacy path carries.
        legacy_masquerade: Whether the legacy path masquerades pod → world, as a CNI's does.
        used_services: Services that tests send to, of both families; every node translates all.
        service_networks: The networks that their addresses are taken from.
        choice: How services in BPF choose a backend: at random, or by Maglev's table, which all
            nodes have alike.
    """

    host_routing: bool = True
    routing: Literal["direct", "tunnel", "none"] = "direct"
    services: Literal["none", "bpf", "iptables"] = "none"
    masquerade: Literal["none", "bpf", "iptables"] = "none"
    policy: Policy | None = None
    legacy_services: int = 100
    legacy_masquerade: bool = True
    used_services: tuple[Service, ...] = ()
    service_networks: tuple[str, ...] = SERVICE_NETWORKS
    choice: Literal["random", "maglev"] = "random"

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in _CHOICES and value not in _CHOICES[field.name]:
                known = ", ".join(str(choice) for choice in _CHOICES[field.name])
                raise UnknownNameError(f"setting {field.name}={value!r} is unknown", f"use {known}")
        if not 0 <= self.legacy_services <= 20_000:
            raise UnknownNameError(
                f"setting legacy_services={self.legacy_services} is not between 0 and 20000"
            )
        if self.used_services and self.services == "none":
            raise UnknownNameError(
                "setting services='none' translates none of used_services", "use bpf or iptables"
            )
        check(self.used_services, self.service_networks)

    def facts(self) -> dict[str, object]:
        """Each setting by its name, as records and agents have them; without unused stages'."""
        facts = asdict(self)
        if not self.used_services:
            del facts["used_services"], facts["service_networks"]
        if self.choice == "random":
            del facts["choice"]
        if self.policy is None:
            del facts["policy"]
        return facts
