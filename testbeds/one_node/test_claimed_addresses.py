# SPDX-License-Identifier: Apache-2.0
"""Addresses that a pod claims by ARP or neighbour advertisement: nobody believes it."""

import pytest

from harness.testbed import Testbed
from testbeds.spoofed import claims_of

AT_THE_POD = {"pod1:eth0", "master:lxc1"}


@pytest.mark.claims("keeps_link_scope")
@pytest.mark.needs_macs
@pytest.mark.topology(quiet=False)
def test_hr45_no_neighbour_believes_a_pod_that_claims_anothers_address(
    one_node: Testbed, datapath, family
):
    pod, victim, node = one_node.pod1, one_node.pod2, one_node.master
    # Whatever is asked for first is known afterwards, so that a claim could overwrite it.
    assert [who.ping(victim).lost for who in (node, pod)] == [0, 0], "lost before"
    claimed = (victim.address, node.address, node.gateway[family])
    with one_node.capture() as seen:
        pod.inject("eth0", [frame for each in claimed for frame in claims_of(pod, family, each)])
    assert {frame.interface for frame in seen.frames} <= AT_THE_POD, "leaked"
    with one_node.capture() as after:
        lost = [node.ping(victim).lost, victim.ping(node).lost, pod.ping(victim).lost]
    assert lost == [0, 0, 0], "lost"
    requests = after.at("pod2:eth0", "request", "in")
    assert {frame.destination_mac for frame in requests} == {victim.mac}, "MACs at pod2"
    assert victim.neighbours(family)[node.gateway[family]] == victim.lxc_mac, "pod2's gateway"
