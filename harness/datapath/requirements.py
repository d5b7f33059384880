# SPDX-License-Identifier: Apache-2.0
"""BPF or Legacy: the requirements as a table, and the decision with every reason.

Pure: a decision follows from settings and probe results alone, so every combination is testable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.datapath.features import FEATURES, Features, find
from harness.datapath.settings import NodeSettings

#: Stages that a datapath may have, by its claims. A setting that needs one it lacks leaves the node
#: in Legacy: the traffic would be lost.
STAGES = frozenset({"service", "masquerade", "encap", "policy"})


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


#: How a requirement is judged: by the node's settings, and by the stages that the datapath has.
_Judge = Callable[[NodeSettings, frozenset[str]], Check]


def _kernel_check(need: str, features: Features) -> Check:
    feature, probe = find(need), features[need]
    title = f"bpf_{need}" if feature.kind == "helper" else f"{feature.kind} {need}"
    if probe.supported:
        return Check(need, True, f"the kernel has {title}")
    detail = f"the kernel lacks {title} ({feature.origin}): {probe.detail}"
    return Check(need, False, detail)


def _routing(settings: NodeSettings, stages: frozenset[str]) -> Check:
    if settings.routing == "direct":
        return Check("routing", True, "direct routing")
    if settings.routing == "tunnel" and "encap" in stages:
        return Check("routing", True, "tunnel")
    detail = {
        "tunnel": "tunnel mode is not built into these programs",
        "none": "neither direct routing nor a tunnel is configured",
    }[settings.routing]
    return Check("routing", False, detail)


def _in_bpf(setting: str, stage: str, title: str) -> _Judge:
    def check(settings: NodeSettings, stages: frozenset[str]) -> Check:
        value = getattr(settings, setting)
        if value == "none":
            return Check(setting, True, f"{title} is not asked for")
        if value == "iptables":
            return Check(setting, False, f"{title} is done by iptables")
        if stage in stages:
            return Check(setting, True, f"{title} in BPF")
        return Check(setting, False, f"{title} in BPF is not built into these programs")

    return check


def _policy(settings: NodeSettings, stages: frozenset[str]) -> Check:
    if settings.policy is None:
        return Check("policy", True, "policy is not asked for")
    if "policy" in stages:
        return Check("policy", True, f"policy in BPF ({len(settings.policy.rules)} rules)")
    return Check("policy", False, "policy is not built into these programs")


def _allowed(settings: NodeSettings, _stages: frozenset[str]) -> Check:
    if settings.host_routing:
        return Check("host_routing", True, "not switched off")
    return Check("host_routing", False, "switched off by the user")


#: Name → how it is judged; after the first come the kernel's features that the datapath needs. The
#: rows are conformance.md's conditions of "the decision at start".
REQUIREMENTS: dict[str, _Judge] = {
    "host_routing": _allowed,
    "routing": _routing,
    "services": _in_bpf("services", "service", "service translation (kube-proxy replacement)"),
    "masquerade": _in_bpf("masquerade", "masquerade", "masquerading"),
    "policy": _policy,
}


def decide(
    needs: frozenset[str],
    settings: NodeSettings,
    features: Features,
    stages: frozenset[str] = frozenset(),
) -> Decision:
    """Judge a datapath's requirements.

    Args:
        needs: What the datapath needs of the kernel: rows of `features.FEATURES`.
        settings: The node's.
        features: The kernel's answers.
        stages: Those of `STAGES` that the datapath has.

    Raises:
        UnknownNameError: A need is not in the table.
    """
    for need in needs:
        find(need)
    first, *others = (judge(settings, stages) for judge in REQUIREMENTS.values())
    of_kernel = [_kernel_check(name, features) for name in FEATURES if name in needs]
    return Decision((first, *of_kernel, *others))
