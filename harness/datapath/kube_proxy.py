# SPDX-License-Identifier: Apache-2.0
"""The rules a Kubernetes node has, in kube-proxy's shape, as iptables-restore reads them.

Shape: pkg/proxy/iptables/proxier.go (KUBE-SERVICES, KUBE-SVC-*, KUBE-SEP-*, KUBE-MARK-MASQ,
KUBE-POSTROUTING, KUBE-FORWARD): idle services with two endpoints each, those that are asked
(kube_services.py), and a CNI's masquerading of pod → world.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address

from harness.datapath.kube_services import Rules, chain_name, used_rules
from harness.datapath.services import Service
from harness.topology.addressing import PODS, UPLINKS, Family

_SERVICE_BASE = {
    Family.ipv4: int(ip_address("172.16.0.1")),
    Family.ipv6: int(ip_address("fd00:5e::1")),
}
_ENDPOINTS = 2


@dataclass(frozen=True)
class Change:
    """A change of a node's rules, for controls.

    Attributes:
        pattern: A regular expression; `^` and `$` stand for the ends of a line.
        replacement: What becomes of it.
    """

    pattern: str
    replacement: str = ""


@dataclass(frozen=True)
class RuleSet:
    """Rules for one family.

    Attributes:
        family: The family.
        text: What iptables-restore (ip6tables-restore) is given.
    """

    family: Family
    text: str

    @property
    def rules(self) -> int:
        """How many rules it holds."""
        return sum(line.startswith("-A ") for line in self.text.splitlines())

    @property
    def sha256(self) -> str:
        """First 12 hexadecimal digits of the text's digest."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]


def _service(number: int, family: Family) -> tuple[list[str], list[str]]:
    """Chains and rules of one ClusterIP service with two endpoints."""
    address = ip_address(_SERVICE_BASE[family] + number)
    host = f"{address}/{family.host_prefix}"
    comment = f'-m comment --comment "default/service-{number} cluster IP"'
    service = chain_name("SVC", number, family)
    chains, rules = [service], [
        f"-A KUBE-SERVICES -d {host} -p tcp {comment} -m tcp --dport 80 -j {service}",
        f"-A {service} ! -s {PODS[family]} -d {host} -p tcp {comment} -m tcp --dport 80"
        " -j KUBE-MARK-MASQ",
    ]  # fmt: skip
    base = int(ip_address("10.0.200.1" if family is Family.ipv4 else "fd00:10:0:200::1"))
    for index in range(_ENDPOINTS):
        endpoint = ip_address(base + number % 250 + index)
        target = f"{endpoint}:8080" if family is Family.ipv4 else f"[{endpoint}]:8080"
        chain = chain_name("SEP", number, index, family)
        share = "" if index == _ENDPOINTS - 1 else (
            f" -m statistic --mode random --probability {1 / (_ENDPOINTS - index):.10f}"
        )  # fmt: skip
        chains.append(chain)
        rules += [
            f"-A {service} {comment}{share} -j {chain}",
            f"-A {chain} -s {endpoint}/{family.host_prefix} {comment} -j KUBE-MARK-MASQ",
            f"-A {chain} -p tcp {comment} -m tcp -j DNAT --to-destination {target}",
        ]
    return chains, rules


def changed(rules: RuleSet, changes: tuple[Change, ...]) -> RuleSet:
    """The rules with some changes."""
    text = rules.text
    for change in changes:
        text = re.sub(change.pattern, change.replacement, text, flags=re.MULTILINE)
    return RuleSet(rules.family, text)


def own_chains(rules: RuleSet) -> str:
    """What writes kube-proxy's chains anew, and leaves the kernel's own as they are."""
    kernels = ("FORWARD", "INPUT", "OUTPUT", "PREROUTING", "POSTROUTING")
    skipped = tuple(f"{head}{chain} " for head in (":", "-A ") for chain in kernels)
    return "".join(f"{line}\n" for line in rules.text.splitlines() if not line.startswith(skipped))


@cache
def node_rules(
    family: Family,
    services: int,
    masquerade: bool = True,
    uplinks: tuple[str, ...] = UPLINKS[:1],
    used: tuple[Service, ...] = (),
    here: frozenset[str] = frozenset(),
) -> RuleSet:
    """Every rule of a node: conntrack, FORWARD, masquerading, and `services` services.

    Args:
        family: Of the rules.
        services: How many ClusterIP services.
        masquerade: Whether what leaves the cluster bears the node's address.
        uplinks: By which interfaces it leaves.
        used: Services that are asked; those of the other family are left out.
        here: Addresses of the node and its pods, whose backends are local.
    """
    chains = ["KUBE-SERVICES", "KUBE-MARK-MASQ", "KUBE-POSTROUTING", "CNI-MASQUERADE"]
    nat = [
        '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
        '-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
        '-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
        "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000",
        "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
        "-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000",
        "-A KUBE-POSTROUTING -j MASQUERADE",
    ]
    if masquerade:
        nat += [
            '-A POSTROUTING -m comment --comment "cni: pod to world" -j CNI-MASQUERADE',
            *(
                f"-A CNI-MASQUERADE -s {PODS[family]} ! -d {PODS[family]} -o {uplink} -j MASQUERADE"
                for uplink in uplinks
            ),
        ]
    for number in range(services):
        more, rules = _service(number, family)
        chains += more
        nat += rules
    own = tuple(service for service in used if service.family is family)
    asked = used_rules(own, here) if own else Rules()
    lines = ["*filter", ":FORWARD ACCEPT [0:0]", ":KUBE-FORWARD - [0:0]",
             *asked.declared("filter"), *asked.filter,
             '-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
             "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
             "-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT",
             "-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
             "COMMIT", "*nat"]  # fmt: skip
    lines += [f":{chain} - [0:0]" for chain in chains] + asked.declared("nat")
    lines += [*nat, *asked.nat, "COMMIT", ""]
    return RuleSet(family, "\n".join(lines))
