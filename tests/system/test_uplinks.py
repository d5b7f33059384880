# SPDX-License-Identifier: Apache-2.0
"""Nodes with two uplinks: each on a wire of its own, with the datapath's programs on both."""

import pytest

from harness.topology import addressing as plan

FIRST = {
    False: """
        pod1:eth0        > request    < reply
        master:lxc1      < request
        master:{uplink}  > request    < reply
        node1:{uplink}   < request    > reply
        node1:lxc2                    < reply
        pod2:eth0        < request    > reply
    """,
    True: """
        pod1:eth0        > request    < reply
        master:lxc1      < request
        master:{uplink}  > request    < reply
        switch:master{n} < request    > reply
        switch:node1{n}  > request    < reply
        node1:{uplink}   < request    > reply
        node1:lxc2                    < reply
        pod2:eth0        < request    > reply
    """,
}


def _route(testbed, family, wire):
    """Send what goes to the other node's pods over that wire."""
    nodes = testbed.network.nodes
    for node, other in (nodes, reversed(nodes)):
        network = str(plan.pod_networks(other.number)[family])
        node.delete_route(network)
        gateway = plan.node_uplink(other.number, wire)[family]
        node.add_route(network, dev=node.uplinks[wire], gateway=gateway)


@pytest.mark.datapaths("bpf")
@pytest.mark.parametrize("world", [False, True], ids=["veth", "switch"])
@pytest.mark.parametrize("wire", [0, 1])
def test_traffic_goes_over_the_uplink_that_the_route_names(
    build_testbed, datapath, family, world, wire
):
    testbed = build_testbed("two_node", datapath, family, {"uplinks": 2, "world": world})
    _route(testbed, family, wire)
    with testbed.capture() as seen:
        assert not testbed.pod1.ping(testbed.pod2).lost
    legs = FIRST[world].format(uplink=plan.UPLINKS[wire], n=".2" if wire else "")
    assert seen.legs() == legs


@pytest.mark.datapaths("bpf")
def test_programs_are_on_every_uplink(build_testbed, datapath, family):
    testbed = build_testbed("two_node", datapath, family, {"uplinks": 2})
    attached = testbed.datapath_of("master").installed.attachments()
    for uplink in plan.UPLINKS:
        assert {a.program for a in attached if a.interface == uplink} == {
            "from_netdev", "to_netdev",
        }  # fmt: skip


@pytest.mark.datapaths("legacy")
def test_the_stack_masquerades_on_every_uplink(build_testbed, datapath, family):
    testbed = build_testbed("two_node", datapath, family, {"uplinks": 2, "world": True})
    tool = "iptables-save" if family.name == "ipv4" else "ip6tables-save"
    rules = testbed.master.ns.run([tool, "-t", "nat"])
    for uplink in plan.UPLINKS:
        assert f"-o {uplink} -j MASQUERADE" in rules
