# SPDX-License-Identifier: Apache-2.0
"""BPF or Legacy: a node that cannot have what it was asked for says why, and runs legacy."""

from typing import Any

import pytest

from harness.datapath import NodeSettings, running_kernel
from harness.datapath.probes import Probe
from harness.plugin.building import BuildTestbed
from harness.testbed import Testbed
from testbeds.one_node.legs import SAME_NODE

#: Requirement → (the setting that breaks it, None: the kernel lacks the helper; the reason).
UNMET: dict[str, tuple[dict[str, Any] | None, str]] = {
    "host_routing": ({"host_routing": False}, "switched off by the user"),
    "routing": ({"routing": "none"}, "neither direct routing nor a tunnel"),
    "routing-tunnel": ({"routing": "tunnel"}, "tunnel mode is not built"),
    "services": ({"services": "iptables"}, "service translation (kube-proxy replacement) is done"),
    "masquerade": ({"masquerade": "iptables"}, "masquerading is done by iptables"),
    "masquerade-bpf": ({"masquerade": "bpf"}, "masquerading in BPF is not built"),
    "redirect_peer": (None, "the kernel lacks bpf_redirect_peer (since 5.10)"),
    "redirect_neigh": (None, "the kernel lacks bpf_redirect_neigh (since 5.10)"),
    "fib_lookup": (None, "the kernel lacks bpf_fib_lookup (since 4.18)"),
}


@pytest.mark.claims(bypasses_stack=True)
@pytest.mark.parametrize("requirement", UNMET)
def test_hr06_unmet_requirement_means_legacy(
    build_testbed: BuildTestbed, datapath, family, requirement
):
    changes, reason = UNMET[requirement]
    features = running_kernel(datapath.needs)
    needed = changes is not None or requirement in datapath.needs
    if changes is None:
        features[requirement] = Probe(False, "unknown func")
    settings = NodeSettings(legacy_services=1, **(changes or {}))
    testbed = build_testbed("one_node", datapath, family, settings=settings, features=features)

    entry = testbed.datapath_of("master")
    checks = entry.decision.checks if entry.decision else ()
    unmet = [check.requirement for check in checks if not check.met]
    # A helper that the datapath does not call is no requirement of it.
    assert unmet == ([requirement.split("-")[0]] if needed else []), "requirements not met"
    status = entry.status()
    assert ("Host Routing: Legacy (" in status) == needed, "status"
    assert (reason in status) == needed, "reason"
    assert (entry.installed.attachments() == []) == needed, "attachments"
    with testbed.capture() as seen:
        testbed.pod1.ping(testbed.pod2)
    assert seen.legs() == SAME_NODE["stack" if needed else datapath.claims.delivers]


@pytest.mark.claims(bypasses_stack=True)
def test_hr06_every_requirement_met_means_bpf(one_node: Testbed, datapath, family):
    entry = one_node.datapath_of("master")
    assert str(entry.decision) == "Host Routing: BPF", "decision"
    assert entry.installed.attachments() != [], "attachments"
    with one_node.capture() as seen:
        one_node.pod1.ping(one_node.pod2)
    assert seen.legs() == SAME_NODE[datapath.claims.delivers]


@pytest.mark.claims("services", bypasses_stack=True)
def test_hr06_services_asked_for_of_who_has_them_mean_bpf(
    build_testbed: BuildTestbed, datapath, family
):
    testbed = build_testbed("one_node", datapath, family, settings=NodeSettings(services="bpf"))
    assert str(testbed.datapath_of("master").decision) == "Host Routing: BPF", "decision"
    with testbed.capture() as seen:
        testbed.pod1.ping(testbed.pod2)
    assert seen.legs() == SAME_NODE[datapath.claims.delivers]


@pytest.mark.claims(bypasses_stack=True, delivers="lxc")
def test_hr06_a_helper_a_datapath_does_not_call_is_no_requirement(
    build_testbed: BuildTestbed, datapath, family
):
    features = running_kernel(datapath.needs) | {"redirect_peer": Probe(False, "unknown func")}
    testbed = build_testbed("one_node", datapath, family, features=features)
    assert str(testbed.datapath_of("master").decision) == "Host Routing: BPF", "decision"
