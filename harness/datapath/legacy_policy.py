# SPDX-License-Identifier: Apache-2.0
"""Policy on the legacy path: the same rules in FORWARD, with conntrack.

Rules judge what a flow's beginner sends; what answers it passes as ESTABLISHED in the other
direction, and its ICMP errors as RELATED. In INPUT they judge what pods send to their own node.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.datapath.policy import ANY, PROTOCOLS, Policy, Rule
from harness.topology import Family, Node

#: What never leaves its link, and no rule is about.
_LINK_SCOPE = {
    Family.ipv4: ("224.0.0.0/4", "255.255.255.255/32"),
    Family.ipv6: ("ff00::/8", "fe80::/10"),
}
_ND = ("133", "134", "135", "136", "137")  # RFC 4861


def policy_rules(node: Node, policy: Policy, family: Family, *, first: bool) -> str:
    """What iptables-restore --noflush is given; `first`: the chains are not jumped to yet."""
    lines = ["*filter", ":POLICY - [0:0]"]
    body = [*_begin(family)]
    for pod in node.pods:
        for direction, option in (("egress", "-i"), ("ingress", "-o")):
            chain = f"POLICY-{pod.name}-{direction}"
            lines.append(f":{chain} - [0:0]")
            rules = policy.of(pod.name, direction)
            if rules:
                body.append(f"-A POLICY {option} {pod.lxc} -j {chain}")
                body += _chain(chain, rules, node.gateway[family], family)
    if first:
        body += ["-I FORWARD 1 -j POLICY", "-I INPUT 1 -j POLICY"]
    return "\n".join([*lines, *body, "COMMIT", ""])


def _begin(family: Family) -> Iterator[str]:
    yield "-A POLICY -m conntrack --ctstate ESTABLISHED --ctdir REPLY -j RETURN"
    yield "-A POLICY -m conntrack --ctstate RELATED -j RETURN"
    for network in _LINK_SCOPE[family]:
        yield f"-A POLICY -d {network} -j RETURN"
    if family is Family.ipv6:
        for kind in _ND:
            yield f"-A POLICY -p ipv6-icmp -m icmp6 --icmpv6-type {kind} -j RETURN"


def _chain(chain: str, rules: tuple[Rule, ...], gateway: str, family: Family) -> Iterator[str]:
    yield f"-A {chain} -d {gateway}/{family.host_prefix} -j RETURN"
    end = {"egress": "-d", "ingress": "-s"}
    for verdict, target in (("deny", "DROP"), ("allow", "RETURN")):
        for rule in rules:
            if rule.verdict != verdict or (rule.within and rule.within.version != family.value):
                continue
            match = f" {end[rule.direction]} {rule.within}" if rule.within else ""
            if rule.protocol != ANY:
                match += f" -p {PROTOCOLS[rule.protocol][family]}"
            if rule.port is not None:
                match += f" -m {rule.protocol} --dport {rule.port}"
            yield f"-A {chain}{match} -j {target}"
    yield f"-A {chain} -j DROP"
