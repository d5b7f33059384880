# SPDX-License-Identifier: Apache-2.0
"""The rules of services that are asked, as kube-proxy's iptables mode writes them.

pkg/proxy/iptables/proxier.go, syncProxyRules(). KUBE-SVC has all of a service's endpoints, KUBE-SVL
those of this node, KUBE-EXT what comes from outside the cluster; KUBE-SEP is one endpoint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.datapath.services import Backend, Service
from harness.topology.addressing import PODS

_NEW = "-m conntrack --ctstate NEW"
_LOCAL = "-m addrtype --dst-type LOCAL"
_HERE = "-m addrtype --src-type LOCAL"


def chain_name(kind: str, *parts: object) -> str:
    """A chain's name as kube-proxy makes it: a prefix and 16 characters of a hash."""
    digest = hashlib.sha256(":".join(map(str, parts)).encode()).hexdigest()[:16].upper()
    return f"KUBE-{kind}-{digest}"


@dataclass
class Rules:
    """Rules of two tables, and the chains that they need besides the node's own.

    Attributes:
        filter: Rules of the table `filter`.
        nat: Rules of the table `nat`.
    """

    filter: list[str] = field(default_factory=list)
    nat: list[str] = field(default_factory=list)

    def declared(self, table: str) -> list[str]:
        """The lines that declare the chains which a table has because of them."""
        if not self.nat:
            return []
        if table == "filter":
            chains = ["KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES"]
        else:
            chains = ["KUBE-NODEPORTS", *(rule.split()[1] for rule in self.nat)]
        shared = {"KUBE-SERVICES"} if table == "nat" else set()
        return [f":{chain} - [0:0]" for chain in dict.fromkeys(chains) if chain not in shared]


def _host(address: str) -> str:
    return f"{address}/{128 if ':' in address else 32}"


def _matches(service: Service, address: str) -> str:
    """What is asked at an address of the service."""
    return f"-d {_host(address)} {_at(service, service.port)}"


def _at(service: Service, port: int) -> str:
    return f"-p {service.protocol} -m {service.protocol} --dport {port}"


def _outside(service: Service) -> list[str]:
    """What asks from outside the cluster: an external address, or the NodePort of any of ours."""
    found = [_matches(service, address) for address in service.external]
    return found + ([f"{_LOCAL} {_at(service, service.node_port)}"] if service.node_port else [])


def _endpoint(service: Service, backend: Backend) -> tuple[str, list[str]]:
    """The chain of one endpoint, and its rules."""
    chain = chain_name("SEP", service, backend.address, backend.port)
    address = f"[{backend.address}]" if ":" in backend.address else backend.address
    recent = f" -m recent --name {chain} --set" if service.affinity else ""
    return chain, [
        f"-A {chain} -s {_host(backend.address)} -j KUBE-MARK-MASQ",  # hairpin
        f"-A {chain} -p {service.protocol} -m {service.protocol}{recent}"
        f" -j DNAT --to-destination {address}:{backend.port}",
    ]


def _choice(service: Service, chain: str, endpoints: Sequence[str]) -> list[str]:
    """The rules by which a chain chooses an endpoint: the one of lately, or any."""
    rules = []
    if service.affinity:
        seconds = max(1, round(service.affinity))
        rules = [
            f"-A {chain} -m recent --name {endpoint} --rcheck --seconds {seconds} --reap"
            f" -j {endpoint}"
            for endpoint in endpoints
        ]
    for left, endpoint in zip(range(len(endpoints), 0, -1), endpoints, strict=True):
        share = f" -m statistic --mode random --probability {1 / left:.10f}" if left > 1 else ""
        rules.append(f"-A {chain}{share} -j {endpoint}")
    return rules


def _translated(service: Service, here: frozenset[str]) -> list[str]:
    """The rules that translate a service which has endpoints."""
    pods = PODS[service.family]
    all_of_it, external, local = (chain_name(kind, service) for kind in ("SVC", "EXT", "SVL"))
    ends = [(backend, *_endpoint(service, backend)) for backend in service.backends]
    rules = [f"-A KUBE-SERVICES {_matches(service, service.address)} -j {all_of_it}"]
    rules += [
        f"-A {'KUBE-NODEPORTS' if _LOCAL in match else 'KUBE-SERVICES'}"
        f" {match.removeprefix(_LOCAL).strip()} -j {external}"
        for match in _outside(service)
    ]
    if _outside(service) and service.local:
        rules += [
            f"-A {external} -s {pods} -j {all_of_it}",
            f"-A {external} {_HERE} -j KUBE-MARK-MASQ",
            f"-A {external} {_HERE} -j {all_of_it}",
        ]
        inside = [chain for backend, chain, _ in ends if backend.address in here]
        if inside:
            rules += [f"-A {external} -j {local}", *_choice(service, local, inside)]
    elif _outside(service):
        rules += [f"-A {external} -j KUBE-MARK-MASQ", f"-A {external} -j {all_of_it}"]
    cluster = _matches(service, service.address)
    rules.append(f"-A {all_of_it} ! -s {pods} {cluster} -j KUBE-MARK-MASQ")
    rules += _choice(service, all_of_it, [chain for _, chain, _ in ends])
    return rules + [rule for *_, own in ends for rule in own]


def _refused(service: Service, here: frozenset[str]) -> list[str]:
    """The rules that refuse what no endpoint answers: REJECT, or DROP where others have one."""
    if not service.backends:
        ends = [("KUBE-SERVICES", _matches(service, service.address))]
        ends += [("KUBE-EXTERNAL-SERVICES", match) for match in _outside(service)]
        return [f"-A {chain} {match} -j REJECT" for chain, match in ends]
    if service.local and not any(backend.address in here for backend in service.backends):
        return [f"-A KUBE-EXTERNAL-SERVICES {match} -j DROP" for match in _outside(service)]
    return []


def used_rules(services: Sequence[Service], here: frozenset[str]) -> Rules:
    """The rules of some services of one family.

    Args:
        services: The services.
        here: Addresses of the node and its pods.
    """
    rules = Rules(
        filter=[
            f"-A FORWARD {_NEW} -j KUBE-SERVICES",
            f"-A OUTPUT {_NEW} -j KUBE-SERVICES",
            f"-A INPUT {_NEW} -j KUBE-EXTERNAL-SERVICES",
            f"-A FORWARD {_NEW} -j KUBE-EXTERNAL-SERVICES",
        ]
    )
    for service in services:
        rules.filter += _refused(service, here)
        rules.nat += _translated(service, here) if service.backends else []
    rules.nat.append(f"-A KUBE-SERVICES {_LOCAL} -j KUBE-NODEPORTS")  # the last, as kube-proxy does
    return rules
