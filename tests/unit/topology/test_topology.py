# SPDX-License-Identifier: Apache-2.0
"""The address plan, and what a topology may be."""

from ipaddress import ip_address, ip_network

import pytest

from harness.plumbing.errors import UnknownNameError
from harness.topology import TESTBEDS, Addresses, Family, Topology
from harness.topology import addressing as plan


def every_address(family):
    for node in range(1, plan.MAX_NODES + 1):
        for wire in range(len(plan.WIRES)):
            yield plan.node_uplink(node, wire)[family]
        yield plan.gateway(node)[family]
        for number in range(1, plan.MAX_PODS_PER_NODE + 1):
            yield plan.pod(node, number)[family]
    yield plan.WORLD[family]
    for wire in range(len(plan.WIRES)):
        yield plan.world_uplink(wire)[family]


def test_no_two_hosts_share_an_address(family):
    addresses = list(every_address(family))
    assert len(set(addresses)) == len(addresses)
    assert {ip_address(address).version for address in addresses} == {int(family)}


def test_a_pod_is_in_its_nodes_network_and_in_the_clusters(family):
    cluster = ip_network(plan.PODS[family])
    for node in (1, 2, plan.MAX_NODES):
        network = plan.pod_networks(node)[family]
        assert network.subnet_of(cluster)
        for number in (1, plan.MAX_PODS_PER_NODE):
            address = ip_address(plan.pod(node, number)[family])
            assert address in network
            assert address != network.broadcast_address
        assert ip_address(plan.gateway(node)[family]) in network


def test_what_the_drawings_say():
    assert plan.pod(1, 1) == Addresses("10.0.1.10", "fd00:10:0:1::a")
    assert plan.pod(2, 1) == Addresses("10.0.2.10", "fd00:10:0:2::a")
    assert plan.gateway(1) == Addresses("10.0.1.1", "fd00:10:0:1::1")
    assert plan.node_uplink(1) == Addresses("192.168.56.11", "fd00:56::11")
    assert plan.node_uplink(2) == Addresses("192.168.56.12", "fd00:56::12")


@pytest.mark.parametrize("number", range(len(plan.WIRES)))
def test_nodes_and_the_world_share_the_wire_and_nothing_else(family, number):
    wire = plan.WIRES[number][family]
    nodes = [plan.node_uplink(node, number)[family] for node in (1, plan.MAX_NODES)]
    on_the_wire = [*nodes, plan.world_uplink(number)[family]]
    assert all(ip_address(address) in wire for address in on_the_wire)
    assert ip_address(plan.WORLD[family]) not in wire


def test_every_wire_has_networks_of_its_own_and_a_name_for_its_uplinks(family):
    first, second = (wire[family] for wire in plan.WIRES)
    assert not first.overlaps(second)
    assert len(set(plan.UPLINKS)) == len(plan.WIRES)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"uplinks": 0}, "uplinks=0 is not between 1 and 2"),
        ({"uplinks": 3}, "uplinks=3 is not between 1 and 2"),
        ({"pod_device": "veht"}, "pod_device='veht' is unknown: use veth"),
    ],
)
def test_uplinks_and_devices_out_of_bounds_are_refused(changes, said):
    with pytest.raises(UnknownNameError, match=said):
        Topology(**changes)


def test_a_mac_is_local_unicast_and_unique():
    macs = {
        plan.mac(role, n)
        for role in ("nic", "lxc", "pod", "world", "switch")
        for n in (1, 255, 256)
    }
    assert len(macs) == 15
    assert all(plan.mac_bytes(mac)[0] & 3 == 2 for mac in macs)
    assert plan.mac_bytes("02:00:03:00:01:00") == b"\x02\x00\x03\x00\x01\x00"
    assert plan.mac("pod", 256) == "02:00:03:00:01:00"


def test_a_familys_facts():
    assert (Family.ipv4.host_prefix, Family.ipv6.host_prefix) == (32, 128)
    assert Family.ipv4.af != Family.ipv6.af


@pytest.mark.parametrize(
    "wrong",
    [
        {"nodes": 0}, {"nodes": plan.MAX_NODES + 1}, {"pods_per_node": 0},
        {"pods_per_node": plan.MAX_PODS_PER_NODE + 1}, {"wire_mtu": 1279}, {"pod_mtu": 65536},
    ],
)  # fmt: skip
def test_a_topology_out_of_bounds_is_refused_with_the_bounds(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(UnknownNameError, match=rf"{name}={value} is not between \d+ and \d+"):
        Topology(**wrong)


@pytest.mark.parametrize(
    ("topology", "wire", "switch"),
    [
        (Topology(), False, False),
        (Topology(world=True), True, True),
        (Topology(nodes=2), True, False),
        (Topology(nodes=2, world=True), True, True),
        (Topology(nodes=3), True, True),
    ],
)
def test_when_there_is_a_wire_and_when_it_is_a_switch(topology, wire, switch):
    assert (topology.has_wire, topology.has_switch) == (wire, switch)


def test_nodes_are_named_as_kubernetes_vagrant_clusters_name_them():
    assert [Topology().node_name(n) for n in (1, 2, 3)] == ["master", "node1", "node2"]


def test_the_testbeds():
    assert TESTBEDS.find("one_node").topology == Topology(nodes=1, pods_per_node=2)
    assert TESTBEDS.find("two_node").topology == Topology(nodes=2, pods_per_node=1)
    with pytest.raises(
        UnknownNameError, match=f"'three_node' is unknown: use {', '.join(TESTBEDS)}"
    ):
        TESTBEDS.find("three_node")
