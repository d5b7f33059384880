# SPDX-License-Identifier: Apache-2.0
"""Whose address a packet comes from, and which destinations leave their link."""

import socket

import pytest
from scapy.layers.inet import IP, UDP

from harness.plugin.building import BuildTestbed
from harness.testbed import Testbed
from harness.topology import Family
from harness.topology.addressing import WORLD
from harness.traffic.headers import ICMP_PROTOCOL
from harness.watch.capture import WHOLE
from testbeds.packets import from_pod
from testbeds.spoofed import GENUINE, LABEL, genuine, spoofed

#: Where a pod's own packets stay when they are dropped.
AT_THE_POD = {"pod1:eth0", "master:lxc1"}


def _elsewhere(seen, label):
    """Where else than at the pod a packet was seen, from which address, of which protocol."""
    return {
        (frame.interface, frame.headers.ip.source, frame.headers.ip.protocol)
        for frame in seen.frames
        if frame.interface not in AT_THE_POD and label in frame.raw and frame.headers.ip
    }


@pytest.mark.claims("source_check")
@pytest.mark.topology(pods_per_node=2, world=True)
def test_hr45_no_source_but_the_pods_own_reaches_anybody(two_node: Testbed, datapath, family):
    pod, others = two_node.pod1, (two_node.pod2, two_node.pod3)
    targets = [*(other.address for other in others), WORLD[family]]
    frames = spoofed(two_node, family, targets)
    with two_node.evidence() as evidence, two_node.capture(WHOLE) as seen:
        pod.inject("eth0", frames + genuine(two_node, family, targets))
    assert _elsewhere(seen, LABEL) == set(), "leaked"
    drops = evidence.nodes["master"].programs.drops
    assert drops == ({"source": len(frames)} if datapath.claims.counts else {}), "drops"
    arrived = {(where, protocol) for where, _, protocol in _elsewhere(seen, GENUINE)}
    wanted = {
        (where, protocol)
        for where in ("pod2:eth0", "pod3:eth0", "world:eth0")
        for protocol in (ICMP_PROTOCOL[family], socket.IPPROTO_UDP, socket.IPPROTO_TCP)
    }
    assert wanted <= arrived, "the pod's own arrived"


#: Destinations that no router passes on: they mean this host, this network or a group.
KEPT = ("0.0.0.0", "127.0.0.1", "127.1.2.3", "224.0.0.1", "224.0.0.251", "239.1.2.3",
        "255.255.255.255")  # fmt: skip
#: What Linux routes nevertheless: the rest of 0/8 since 5.3 (96125bf9985a), class E, and
#: 169.254/16, behind whose addresses clouds have their metadata.
ROUTED = ("0.1.2.3", "169.254.1.1", "169.254.169.254", "240.0.0.1", "255.255.255.254")


@pytest.mark.claims("keeps_link_scope", family=Family.ipv4)
def test_hr23_what_linux_routes_of_ipv4s_link_scope_is_routed(
    build_testbed: BuildTestbed, datapath
):
    testbed = build_testbed("two_node", datapath, Family.ipv4, {"world": True})
    pod = testbed.pod1
    frames = [
        from_pod(pod, IP(src=pod.address, dst=to) / UDP(sport=4000, dport=4001) / b"link scope")
        for to in (*KEPT, *ROUTED)
    ]
    with testbed.capture() as seen:
        pod.inject("eth0", frames)
    out = [f for f in seen.frames if (f.interface, f.direction) == ("master:enp0s8", "out")]
    assert {frame.headers.ip.destination for frame in out if frame.headers.ip} == set(ROUTED), "out"
