# SPDX-License-Identifier: Apache-2.0
"""Datapaths: what forwards a node's pod traffic. One file per kind, registered here."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from harness.datapath.base import (
    Counters,
    Datapath,
    Enforces,
    Installed,
    InstallsTogether,
    NodeDatapath,
    Reports,
    Serves,
)
from harness.datapath.bpf import CLAIMED, HostRouting
from harness.datapath.claims import BOTH, CLAIMS, NEITHER, Claim, ClaimError, Claims, unclaimed
from harness.datapath.features import Features, running_kernel
from harness.datapath.legacy import Legacy
from harness.datapath.policy import Policy, Rule, Timeouts
from harness.datapath.requirements import Check, Decision, decide
from harness.datapath.services import Service
from harness.datapath.settings import NodeSettings
from harness.plumbing.errors import UnknownNameError
from harness.plumbing.registry import Registry
from harness.topology import POD_DEVICES, Node, Topology

_BUNDLED: tuple[Datapath, ...] = (
    Legacy(),
    HostRouting(
        "bpf",
        "bpf_fib_lookup off the node, bpf_redirect_peer into the pod",
        frozenset({"redirect_peer", "redirect_neigh", "fib_lookup"}),
    ),
    HostRouting(
        "bpf-redirect",
        "as bpf, but bpf_redirect to the pod's lxc",
        frozenset({"redirect_neigh", "fib_lookup"}),
        ("LOCAL_REDIRECT",),
        claims=replace(CLAIMED, delivers="lxc", keeps_mark=False, keeps_tstamp=False),
    ),
    HostRouting(
        "bpf-skip-fib",
        "as bpf, but bpf_redirect_neigh looks up route and neighbour",
        frozenset({"redirect_peer", "redirect_neigh"}),
        ("SKIP_FIB",),
        claims=replace(
            CLAIMED,
            forwards="neigh",
            node_addresses="table",
            refusing_routes="",
            tells_no_route=NEITHER,
            obeys_forwarding=NEITHER,
            any_device=False,
        ),
    ),
    HostRouting(
        "bpf-tcx",
        "as bpf, attached by TCX",
        frozenset({"redirect_peer", "redirect_neigh", "fib_lookup", "tcx"}),
        claims=replace(CLAIMED, attaches="tcx"),
        hook="tcx",
    ),
    HostRouting(
        "bpf-netkit",
        "as bpf, attached to netkit: bpf_redirect to local pods, bpf_redirect_peer off the wire",
        frozenset({"redirect_peer", "redirect_neigh", "fib_lookup", "tcx", "netkit"}),
        ("NETKIT",),
        claims=replace(
            CLAIMED, attaches="netkit", delivers="netkit", keeps_mark=False, keeps_tstamp=False
        ),
        hook="netkit",
    ),
)

#: Name → datapath. Packages register theirs: see `harness.plumbing.registry`.
DATAPATHS: Registry[Datapath] = Registry(
    "datapath", Datapath, {datapath.name: datapath for datapath in _BUNDLED}
)


def find(name: str) -> Datapath:
    """The datapath of that name, whose claims are such as the table has.

    Raises:
        UnknownNameError: There is none; the message lists the names there are.
        ClaimError: It has no claims, or such as no datapath can have.
    """
    found = DATAPATHS.find(name)
    try:
        claims = getattr(found, "claims", None)
    except ClaimError as error:
        raise ClaimError(f"datapath {name!r}: {error.what}", error.todo) from None
    if not isinstance(claims, Claims):
        raise ClaimError(f"datapath {name!r} has no claims", "give it a harness.datapath.Claims")
    return found


def decision_on(
    datapath: Datapath, settings: NodeSettings, features: Features | None = None
) -> Decision | None:
    """BPF or Legacy for a node that is asked to run a datapath; None: it asks for no bypass.

    Args:
        datapath: What is asked for.
        settings: The node's.
        features: Probe results; the running kernel's by default.

    Raises:
        UnknownNameError: The datapath needs something that the table of features lacks.
    """
    if not datapath.claims.bypasses_stack:
        return None
    answers = features if features is not None else running_kernel(datapath.needs)
    return decide(datapath.needs, settings, answers, datapath.claims.stages)


def placed(
    topology: Topology,
    datapath: Datapath | None,
    settings: NodeSettings | None = None,
    features: Features | None = None,
) -> Topology:
    """A topology whose pods hang on devices that a datapath can be attached to.

    Args:
        topology: What is asked for. Where it names no device, it gets what the datapath asks for;
            veth if the nodes will run legacy.
        datapath: What the nodes are asked to run; None: nothing.
        settings: Each node's.
        features: Probe results; the running kernel's by default.

    Raises:
        UnknownNameError: The datapath cannot be attached to the device that the topology names.
    """
    legacy = datapath is None
    devices = POD_DEVICES if datapath is None else datapath.claims.pod_devices
    if topology.pod_device:
        if datapath is not None and topology.pod_device not in devices:
            raise UnknownNameError(
                f"datapath {datapath.name!r} cannot be attached to pod_device"
                f" {topology.pod_device!r}",
                f"use {' or '.join(devices)}",
            )
        return topology
    if datapath is not None:
        decision = decision_on(datapath, settings or NodeSettings(), features)
        legacy = decision is not None and not decision.bpf
    return replace(topology, pod_device=POD_DEVICES[0] if legacy else devices[0])


def install(
    datapath: Datapath,
    nodes: Sequence[Node],
    settings: NodeSettings | None = None,
    features: Features | None = None,
) -> list[NodeDatapath]:
    """Put a datapath on nodes, or legacy where a requirement of it is unmet.

    Args:
        datapath: What is asked for.
        nodes: Where.
        settings: Each node's; the default asks for nothing these programs lack.
        features: Probe results; the running kernel's by default.

    Returns:
        What came of it, in the order of the nodes; `remove` each when it is no longer needed.

    Raises:
        UnknownNameError: A rule is of a pod that none of the nodes has.
    """
    settings = settings or NodeSettings()
    if settings.policy is not None:
        settings.policy.check(pod.name for node in nodes for pod in node.pods)
    decision = decision_on(datapath, settings, features)
    chosen = datapath if decision is None or decision.bpf else find("legacy")
    entries = []
    with ExitStack() as undo:
        for node, installed in zip(nodes, _begin(chosen, nodes, settings, undo), strict=True):
            entries.append(NodeDatapath(node, datapath.name, decision, installed))
        for entry in entries:
            entry.installed.await_ready()
        undo.pop_all()
    return entries


def _begin(
    datapath: Datapath, nodes: Sequence[Node], settings: NodeSettings, undo: ExitStack
) -> list[Installed]:
    """Begin to put a datapath on nodes: on all together, or one after the other."""
    found: list[Installed] = []
    if isinstance(datapath, InstallsTogether):
        found += datapath.install_all(nodes, settings)
        for installed in found:
            undo.callback(installed.remove)
        return found
    for node in nodes:
        found.append(datapath.install(node, settings))
        undo.callback(found[-1].remove)
    return found


__all__ = ["BOTH", "CLAIMS", "DATAPATHS", "Check", "Claim", "ClaimError", "Claims", "Counters",
           "Datapath", "Decision", "Enforces", "Features", "HostRouting", "Installed", "Legacy",
           "NodeDatapath", "NodeSettings", "Policy", "Reports", "Rule", "Serves", "Service",
           "Timeouts", "decide", "decision_on", "find", "install", "placed", "running_kernel",
           "unclaimed"]  # fmt: skip
