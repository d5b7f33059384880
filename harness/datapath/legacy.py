# SPDX-License-Identifier: Apache-2.0
"""The legacy path: the node's own stack forwards, through netfilter as a node has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.attach import Listed, all_attachments
from harness.datapath.base import Counters
from harness.datapath.claims import BOTH, Claims
from harness.datapath.kube_proxy import Change, RuleSet, changed, node_rules, own_chains
from harness.datapath.legacy_flows import forget
from harness.datapath.legacy_policy import policy_rules
from harness.datapath.policy import Policy
from harness.datapath.services import Service, gone
from harness.datapath.settings import NodeSettings
from harness.plumbing import process
from harness.plumbing.errors import UnknownNameError
from harness.plumbing.process import Job
from harness.topology import Family, Node
from harness.topology.addressing import UPLINKS

_RESTORE = {Family.ipv4: "iptables-restore", Family.ipv6: "ip6tables-restore"}

# Where iptables is its legacy variant, it takes turns with itself by a file of the machine's, /run/
# xtables.lock, which it makes; what is locked here no two namespaces share.
_NO_LOCK = {"XTABLES_LOCKFILE": "/dev/null"}


#: What the stack does on a testbed's nodes. It limits its errors too, but by a budget of the whole
#: machine before 6.13 (icmp_msgs_per_sec): to spend that would cost other tests their errors.
CLAIMED = Claims(
    masquerade=True, services=BOTH, several_addresses=True, decrements_ttl=True,
    time_exceeded=BOTH, quotes_in_full=True, too_big=BOTH, fragments=True, answers_arp=True,
    answers_nd=True, answers_gateway_ping=BOTH,
    wire_source_check=BOTH, header_check=BOTH, options_to_stack=BOTH, keeps_link_scope=True,
    refusing_routes="tell", tells_no_route=BOTH, any_device=True,
    # Of IPv6's, skb_gso_validate_network_len() counts a header that no segment keeps: too big.
    big_tcp=frozenset({Family.ipv4}),
    obeys_forwarding=frozenset({Family.ipv4}),  # IPv6 forwards by `all` alone, ip6_forward()
    refreshes_neighbours=True, policy=True,
)  # fmt: skip


@dataclass(frozen=True)
class Legacy:
    """Kernel forwarding with conntrack, a FORWARD chain, masquerading and kube-proxy's rules.

    Attributes:
        changes: Changes of those rules, for controls.
        nft: More rules, as nft reads them, for controls.
    """

    name: str = "legacy"
    summary: str = "the node's own stack: routes, conntrack, netfilter with kube-proxy's rules"
    needs: frozenset[str] = frozenset()
    claims: Claims = CLAIMED
    changes: tuple[Change, ...] = ()
    nft: str = ""

    def install(self, node: Node, settings: NodeSettings) -> InstalledLegacy:
        """Load the rules, and give the pods' gateway to every lxc."""
        rules = self.rules(node, settings)
        jobs = [Job([_RESTORE[r.family]], r.text, node.ns, _NO_LOCK) for r in rules]
        if self.nft:
            jobs.append(Job(["nft", "-f", "-"], self.nft, node.ns))
        loading = process.Running(jobs)
        return InstalledLegacy(self, node, settings, rules, loading)

    def rules(self, node: Node, settings: NodeSettings) -> list[RuleSet]:
        """The rules of a node, of each family."""
        uplinks = tuple(node.uplinks) or UPLINKS[:1]  # an idle rule where it has none
        asked, here = settings.used_services, _addresses_here(node)
        masquerade = settings.legacy_masquerade
        return [
            changed(
                node_rules(family, settings.legacy_services, masquerade, uplinks, asked, here),
                self.changes,
            )
            for family in Family
        ]


def _addresses_here(node: Node) -> frozenset[str]:
    """The addresses whose backends are local to a node: its pods' and its own."""
    return frozenset(host.addresses[family] for host in (node, *node.pods) for family in Family)


class InstalledLegacy:
    """The legacy path on a node.

    Attributes:
        node: The node.
        settings: What its rules were made from.
        rules: The rules, per family.
    """

    name = "legacy"

    def __init__(
        self, datapath: Legacy, node: Node, settings: NodeSettings, rules: list[RuleSet],
        loading: process.Running,
    ) -> None:  # fmt: skip
        self._datapath = datapath
        self.node = node
        self.settings = settings
        self.rules = rules
        self._loading = loading
        try:
            node.hold_gateway()
        except BaseException:
            self.remove()
            raise

    def await_ready(self) -> None:
        """Return when the rules are loaded and the gateway's addresses are in use."""
        self._loading.outputs()
        if self.settings.policy is not None:
            self._load_policy(self.settings.policy, first=True)
        self.node.await_settled()

    def serve(self, services: Sequence[Service]) -> None:
        """Translate other services from now on, and forget UDP flows to backends that are gone.

        Raises:
            UnknownNameError: The node was built without any, or they cannot stand together.
        """
        before = self.settings.used_services
        if not before:
            raise UnknownNameError(
                f"{self.name} on {self.node.name} was built without services in use",
                "name some in NodeSettings.used_services",
            )
        self.settings = replace(self.settings, used_services=tuple(services))
        self.rules = self._datapath.rules(self.node, self.settings)
        process.run_together([
            Job([_RESTORE[r.family], "--noflush"], own_chains(r), self.node.ns, _NO_LOCK)
            for r in self.rules
        ])  # fmt: skip
        forget(self.node.ns, gone(before, services))

    def enforce(self, policy: Policy) -> None:
        """Put other rules in force: their chains are written anew in one transaction.

        Raises:
            UnknownNameError: The node was built without policy.
        """
        if self.settings.policy is None:
            raise UnknownNameError(
                f"{self.name} on {self.node.name} was built without policy",
                "ask for it in NodeSettings.policy; Policy() has no rules",
            )
        self._load_policy(policy, first=False)

    def _load_policy(self, policy: Policy, *, first: bool) -> None:
        process.run_together([
            Job(
                [_RESTORE[family], "--noflush"],
                policy_rules(self.node, policy, family, first=first), self.node.ns, _NO_LOCK,
            )
            for family in Family
        ])  # fmt: skip

    def counters(self) -> Counters:
        """Nothing: it has no programs."""
        return Counters()

    def attachments(self) -> list[Listed]:
        """What is on the hooks all the same: nothing, unless something is wrong."""
        return all_attachments(self.node.ns)

    def sync(self) -> None:
        """The stack knows its own addresses; a pod that was made anew has an lxc without any."""
        self.node.forget_indexes()
        self.node.hold_gateway()
        self.node.await_settled()

    def describe(self) -> str:
        """Name, services, rules and their digests."""
        sets = ", ".join(f"{r.family.name} {r.rules} rules {r.sha256}" for r in self.rules)
        masquerade = "masquerade" if self.settings.legacy_masquerade else "no masquerade"
        services = f"{self.settings.legacy_services} services"
        if self.settings.used_services:
            services += f" and {len(self.settings.used_services)} that are asked"
        return f"legacy (conntrack, FORWARD, {masquerade}, {services}: {sets})"

    def remove(self) -> None:
        """The rules die with the namespace; who is still loading them ends."""
        self._loading.close()

    def reload(self) -> None:
        """There is nothing to load: rules are made anew for every namespace."""
