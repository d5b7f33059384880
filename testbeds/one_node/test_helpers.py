# SPDX-License-Identifier: Apache-2.0
"""The redirect helpers themselves, used wrongly: dropped, and never with a splat.

Their return value proves nothing: 7 says that a redirect was asked for, and what the kernel thinks
of device, peer and hook it decides later. Each wrong use stands beside the right one.
"""

import dataclasses
from typing import Any

import pytest
from scapy.layers.l2 import Ether

from harness.attach import EGRESS, INGRESS
from harness.bpf.source import Patch
from harness.datapath import DATAPATHS
from harness.datapath.features import release
from harness.plugin.building import BuildTestbed
from harness.testbed import Testbed
from testbeds.faults import TC_ACT_REDIRECT, TC_ACT_SHOT, HelperCall
from testbeds.one_node.legs import UNANSWERED
from testbeds.packets import echo, ip

PINGS = 3
# The kernel's helpers are what is asked here, not a datapath: one of each kind is enough.
#: Replies that follow a request which a helper took past the stack: conntrack refuses them there.
past_the_stack = pytest.mark.datapaths("bpf")
#: A helper's own program, with none of a datapath's behind it.
with_no_other_program = pytest.mark.datapaths("legacy")


def _pair_in_one_namespace(node):
    """A veth pair whose ends are both in the node."""
    node.ns.netlink.link("add", kind="veth", ifname="same0", peer={"ifname": "same1"})
    for name in ("same0", "same1"):
        node.up(name)
    return node.ifindex("same0")


WRONG = {
    "no-veth": lambda bed: bed.master.ifindex("lo"),
    "same-namespace": lambda bed: _pair_in_one_namespace(bed.master),
    "peer-down": lambda bed: (bed.pod2.down("eth0"), bed.master.ifindex("lxc2"))[1],
    "no-device": lambda _: 99_999,
}


def _note(observed, helper_call, exchange):
    """What the helper said, and what became of the packets."""
    for value, times in helper_call.returned().items():
        observed(f"the helper returned {value}", times)
    observed("lost", exchange.lost)


@past_the_stack
@pytest.mark.parametrize("wrong", WRONG)
def test_hr39_redirect_peer_misdirected(
    one_node: Testbed, datapath, family, helper_call, wrong, hr_kernel_log, hr_observed
):
    with one_node.capture() as seen:
        helper_call.put(one_node.master, "lxc1", "redirect_peer", WRONG[wrong](one_node))
        exchange = one_node.pod1.ping(one_node.pod2, PINGS)
    _note(hr_observed, helper_call, exchange)
    assert helper_call.returned() == {TC_ACT_REDIRECT: PINGS}, "returned"
    assert exchange.lost == PINGS, "lost"
    assert seen.legs() == UNANSWERED
    assert hr_kernel_log.splats() == [], "splats"


@past_the_stack
def test_hr39_redirect_peer_well_directed(
    one_node: Testbed, datapath, family, helper_call, hr_observed
):
    helper_call.put(one_node.master, "lxc1", "redirect_peer", one_node.master.ifindex("lxc2"))
    exchange = one_node.pod1.ping(one_node.pod2, PINGS)
    _note(hr_observed, helper_call, exchange)
    assert helper_call.returned() == {TC_ACT_REDIRECT: PINGS}, "returned"
    assert exchange.lost == 0, "lost"


#: (helper, flags, hook) → what the helper returns; in each case the packet is lost.
MISUSES = {
    "peer-at-egress": ("redirect_peer", 0, EGRESS, TC_ACT_REDIRECT),
    "peer-unknown-flags": ("redirect_peer", 0x80, INGRESS, TC_ACT_SHOT),
    "neigh-unknown-flags": ("redirect_neigh", 0x80, INGRESS, TC_ACT_SHOT),
}


@with_no_other_program
@pytest.mark.parametrize("misuse", MISUSES)
def test_hr48_helpers_misused(
    one_node: Testbed, datapath, family, helper_call, misuse, hr_kernel_log, hr_observed
):
    helper, flags, hook, returned = MISUSES[misuse]
    interface = "lxc2" if hook == EGRESS else "lxc1"
    helper_call.put(
        one_node.master, interface, helper, one_node.master.ifindex("lxc2"), flags, hook
    )
    exchange = one_node.pod1.ping(one_node.pod2, PINGS)
    _note(hr_observed, helper_call, exchange)
    assert helper_call.returned() == {returned: PINGS}, "returned"
    assert exchange.lost == PINGS, "lost"
    assert hr_kernel_log.splats() == [], "splats"


@pytest.mark.parametrize("helper", ["redirect_peer", "bpf_redirect"])
def test_hr48_what_a_helper_refuses_is_counted(build_testbed: BuildTestbed, family, helper):
    """The bundled programs themselves, with a flag that no kernel knows."""
    name = {"redirect_peer": "bpf", "bpf_redirect": "bpf-redirect"}[helper]
    call = Patch("local_delivery.c", f"{helper}(pod->ifindex, 0)", f"{helper}(pod->ifindex, 0x80)")
    bundled: Any = DATAPATHS[name]
    misusing = dataclasses.replace(bundled, patches=(call, *HelperCall.patches))
    testbed = build_testbed("one_node", misusing, family)
    with testbed.evidence() as evidence:
        exchange = testbed.pod1.ping(testbed.pod2, PINGS)
    assert exchange.lost == PINGS, "lost"
    assert evidence.nodes["master"].programs.drops == {"redirect": PINGS}, "drops"
    assert evidence.nodes["master"].programs.hits == {("from-container", "drop"): PINGS}, "hits"


@with_no_other_program
@pytest.mark.parametrize("destination", ["multicast", "unicast"])
def test_hr48_redirect_neigh_of_a_multicast_frame(
    one_node: Testbed, datapath, family, helper_call, destination, hr_observed
):
    pod, target = one_node.pod1, one_node.pod2
    helper_call.put(one_node.master, "lxc1", "redirect_neigh", one_node.master.ifindex("lxc2"))
    mac = {"multicast": "01:00:5e:00:00:05", "unicast": pod.lxc_mac}[destination]
    packet = ip(family, pod.address, target.address) / echo(family)
    with one_node.capture() as seen:
        pod.inject("eth0", [bytes(Ether(src=pod.mac, dst=mac) / packet)])
    arrived = [frame.direction for frame in seen.frames if frame.interface == "pod2:eth0"]
    hr_observed("frames at pod2", len(arrived))
    assert helper_call.returned() == {TC_ACT_REDIRECT: 1}, "returned"
    assert arrived == ([] if destination == "multicast" else ["in", "out"]), "arrived"


#: A route on which redirect_neigh finds no neighbour. IPv4's lookup, bound to a device, takes for
#: on-link what it has no route for.
REFUSING: dict[int, dict[str, object]] = {
    4: {"type": "broadcast", "scope": "link"},
    6: {"type": "unreachable"},
}


@with_no_other_program
@pytest.mark.parametrize("route", ["refusing", "unicast"])
def test_hr48_redirect_neigh_where_the_route_refuses(
    one_node: Testbed, datapath, family, helper_call, route, hr_observed
):
    master, pod = one_node.master, one_node.pod2
    helper_call.put(master, "lxc1", "redirect_neigh", master.ifindex("lxc2"))
    if route == "refusing":
        prefix = f"{pod.address}/{family.host_prefix}"
        master.delete_route(prefix, dev="lxc2")
        master.add_route(prefix, dev="lxc2", **REFUSING[family])
    with one_node.evidence() as evidence, one_node.capture() as seen:
        one_node.pod1.ping(pod, PINGS)  # a reply is the stack's, which has not seen the request
    arrived = len(seen.at("pod2:eth0", "request", "in"))
    counted = {name: evidence.links["master:lxc2", name] for name in ("tx_errors", "tx_dropped")}
    for name, count in counted.items():
        hr_observed(name, count)
    assert helper_call.returned() == {TC_ACT_REDIRECT: PINGS}, "returned"
    assert arrived == (0 if route == "refusing" else PINGS), "arrived"
    # Before 7.0, without a backport, in dev->stats.tx_errors, which a veth does not show.
    shown = {PINGS} if release() >= (7, 0) else {0, PINGS}
    assert sum(counted.values()) in (shown if route == "refusing" else {0}), "transmit errors"
