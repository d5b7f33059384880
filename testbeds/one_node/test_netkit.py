# SPDX-License-Identifier: Apache-2.0
"""Pods behind netkit pairs, on one node: who sees what, and what becomes of mark and priority."""

import socket

import pytest
from scapy.layers.l2 import Ether

from harness.attach import HOOKS, INGRESS
from harness.plugin.building import BuildTestbed
from harness.testbed import Testbed
from harness.topology import netkit
from harness.topology.addressing import mac
from harness.traffic import inject
from testbeds.faults import unknown_verdict
from testbeds.one_node import test_bypass as bypass
from testbeds.one_node.legs import SAME_NODE, with_resolution

PINGS = 3
MARK, PRIORITY = 0x77, 5
SO_MARK = 36  # asm-generic/socket.h; socket has it since Python 3.14
each_device = pytest.mark.parametrize("device", netkit.MODES)


@pytest.mark.claims(attaches="netkit")
@each_device
def test_hr79_legs_and_ttl_same_node(build_testbed: BuildTestbed, datapath, family, device):
    testbed = build_testbed("one_node", datapath, family, {"pod_device": device})
    with testbed.capture() as seen:
        testbed.pod1.ping(testbed.pod2)
    assert seen.legs() == SAME_NODE[datapath.claims.delivers]
    arrived = [*seen.at("pod2:eth0", "request", "in"), *seen.at("pod1:eth0", "reply", "in")]
    assert [frame.ttl for frame in arrived] == [63, 63], "TTL at the pods"


@pytest.mark.claims("answers_arp", "answers_nd", attaches="netkit")
@each_device
def test_hr79_gateway_is_resolved_only_where_there_are_macs(
    build_testbed: BuildTestbed, datapath, family, device
):
    testbed = build_testbed("one_node", datapath, family, {"pod_device": device})
    pod, gateway = testbed.pod1, testbed.master.gateway[family]
    if testbed.topology.pods_have_macs:
        pod.delete_neighbour("eth0", gateway)
    with testbed.capture() as seen:
        exchange = pod.ping(testbed.pod2)
    assert exchange.lost == 0, "lost"
    delivers = datapath.claims.delivers
    resolved = with_resolution(family, delivers)
    assert seen.legs() == (resolved if testbed.topology.pods_have_macs else SAME_NODE[delivers])


@pytest.mark.datapaths("legacy")
@pytest.mark.parametrize("hook", ["netkit", "tcx"])
def test_hr79_unknown_verdict(build_testbed: BuildTestbed, datapath, family, hook):
    testbed = build_testbed("one_node", datapath, family, {"pod_device": "netkit"})
    with unknown_verdict(testbed.master, "lxc1", hook):
        exchange = testbed.pod1.ping(testbed.pod2, PINGS)
    # netkit_xmit() drops what it does not understand; tcx_run() goes on with the next program.
    assert exchange.lost == (PINGS if hook == "netkit" else 0), "lost"


@pytest.mark.datapaths("legacy")
@pytest.mark.parametrize("scrub", [netkit.SCRUB_DEFAULT, netkit.SCRUB_NONE],
                         ids=["default", "none"])  # fmt: skip
def test_hr80_mark_and_priority_in_the_program(
    one_node: Testbed, datapath, metadata, require_feature, scrub, hr_observed
):
    for name in ("netkit", "netkit-scrub"):
        require_feature(name)
    node, pod = one_node.network.nodes[0], one_node.network.pods[0]
    node.macs["nk0"], pod.macs["nk1"] = mac("lxc", 99), mac("pod", 99)
    node.add_netkit("nk0", 2000, pod, "nk1", 1500, netkit.MODES["netkit"], scrub)
    node.up("nk0")
    pod.up("nk1")
    fd = metadata.module.fd("read_metadata")
    frame = bytes(Ether(src=pod.macs["nk1"], dst=node.macs["nk0"], type=0x88B5) / b"for nobody")
    with HOOKS["netkit"].attach(node.ns, 2000, INGRESS, fd, "read_metadata"):
        options = {SO_MARK: MARK, socket.SO_PRIORITY: PRIORITY}
        inject(pod.ns, "nk1", [frame], options=options)
        seen = metadata.seen()
    for name in ("mark", "priority"):
        hr_observed(name, seen[name])
    assert seen["packets"] == 1, "packets read"
    kept = (MARK, PRIORITY) if scrub == netkit.SCRUB_NONE else (0, 0)
    assert (seen["mark"], seen["priority"]) == kept, "mark and priority"


@each_device
def test_hr81_the_stack_is_bypassed_on_netkit_too(
    build_testbed: BuildTestbed, datapath, family, device, hr_observed
):
    def build():
        return build_testbed("one_node", datapath, family, {"pod_device": device})

    bypass.test_hr02_netfilter_hooks(build(), datapath, family)
    bypass.test_hr03_conntrack(build(), datapath, family)
    bypass.test_hr04_forward_policy_drop(build(), datapath, family, hr_observed)
    bypass.test_hr43_host_route_deleted_and_rp_filter_on(build(), datapath, family)
    bypass.test_hr46_backlog_enqueues_a_round_trip(build(), datapath, family, hr_observed)
