# SPDX-License-Identifier: Apache-2.0
"""BPF or Legacy: the requirements as a table, and the decision with every reason.

Pure: a decision follows from settings and probe results alone, so every combination is testable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.datapath.probes import HELPERS, Features
from harness.datapath.settings import NodeSettings

#: Stages that the programs of this version have (bpf/*.c). A setting that needs another one
#: leaves the node in Legacy: a datapath that claims a stage it lacks would lose that traffic.
BUILT_STAGES: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Check:
    """One requirement, judged.

    Attributes:
        requirement: Its name.
        met: Whether it holds.
        detail: Why, in words for the operator.
    """

    requirement: str
    met: bool
    detail: str


@dataclass(frozen=True)
class Decision:
    """What a node does with its pods' traffic, and why.

    Attributes:
        checks: Every requirement, met or not.
    """

    checks: tuple[Check, ...]

    @property
    def bpf(self) -> bool:
        """Whether host routing is BPF."""
        return all(check.met for check in self.checks)

    @property
    def reasons(self) -> tuple[str, ...]:
        """What is unmet, in words."""
        return tuple(check.detail for check in self.checks if not check.met)

    def __str__(self) -> str:
        if self.bpf:
            return "Host Routing: BPF"
        return f"Host Routing: Legacy ({'; '.join(self.reasons)})"


def _helper_check(name: str) -> Callable[[NodeSettings, Features], Check]:
    def check(_: NodeSettings, features: Features) -> Check:
        probe, helper = features[name], HELPERS[name]
        if probe.supported:
            detail = f"the kernel has bpf_{name}"
        else:
            detail = f"the kernel lacks bpf_{name} (since {helper.since}): {probe.detail}"
        return Check(name, probe.supported, detail)

    return check


def _routing(settings: NodeSettings, _: Features) -> Check:
    if settings.routing == "direct":
        return Check("routing", True, "direct routing")
    if settings.routing == "tunnel" and "encap" in BUILT_STAGES:
        return Check("routing", True, "tunnel")
    detail = {
        "tunnel": "tunnel mode is not built into these programs",
        "none": "neither direct routing nor a tunnel is configured",
    }[settings.routing]
    return Check("routing", False, detail)


def _in_bpf(setting: str, stage: str, title: str) -> Callable[[NodeSettings, Features], Check]:
    def check(settings: NodeSettings, _: Features) -> Check:
        value = getattr(settings, setting)
        if value == "none":
            return Check(setting, True, f"{title} is not asked for")
        if value == "iptables":
            return Check(setting, False, f"{title} is done by iptables")
        if stage in BUILT_STAGES:
            return Check(setting, True, f"{title} in BPF")
        return Check(setting, False, f"{title} in BPF is not built into these programs")

    return check


def _allowed(settings: NodeSettings, _: Features) -> Check:
    if settings.host_routing:
        return Check("host_routing", True, "not switched off")
    return Check("host_routing", False, "switched off by the user")


#: Name → how it is judged. The rows are conformance.md's conditions of "the decision at start".
REQUIREMENTS: dict[str, Callable[[NodeSettings, Features], Check]] = {
    "host_routing": _allowed,
    "redirect_peer": _helper_check("redirect_peer"),
    "redirect_neigh": _helper_check("redirect_neigh"),
    "fib_lookup": _helper_check("fib_lookup"),
    "routing": _routing,
    "services": _in_bpf("services", "service", "service translation (kube-proxy replacement)"),
    "masquerade": _in_bpf("masquerade", "masquerade", "masquerading"),
}


def decide(needs: frozenset[str], settings: NodeSettings, features: Features) -> Decision:
    """Judge a datapath's requirements.

    Args:
        needs: The helpers the datapath calls; rows for other helpers do not apply to it.
        settings: The node's.
        features: Probe results of the kernel.
    """
    rows = [name for name in REQUIREMENTS if name not in HELPERS or name in needs]
    return Decision(tuple(REQUIREMENTS[name](settings, features) for name in rows))
