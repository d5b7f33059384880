# SPDX-License-Identifier: Apache-2.0
"""Where a node's routes lead besides its first uplink: other devices, a second uplink, a tunnel."""

import pytest

from harness.testbed import Testbed
from harness.topology import Addresses
from harness.topology.addressing import node_uplink
from testbeds.faults import host_behind

#: Another container runtime's, on the same node.
RUNTIMES = Addresses("172.17.0.", "fd00:17::")
#: Of nobody's (RFC 5737, RFC 3849).
OUTER = {4: "192.0.2.7", 6: "2001:db8::7"}
TUNNELLED = {4: ("203.0.113.0/24", "203.0.113.1"), 6: ("2001:db8:77::/64", "2001:db8:77::1")}


def test_hr20_host_behind_another_device(two_node: Testbed, datapath, family):
    with host_behind(two_node.master, "docker0", RUNTIMES) as host:
        two_node.datapath_of("master").installed.sync()
        assert two_node.pod1.ping(host[family], 3).lost == 0, "lost"
        # What is behind the uplink is there still.
        assert two_node.pod1.ping(two_node.pod2).lost == 0, "lost over the uplink"


@pytest.mark.topology(uplinks=2)
def test_hr20_host_behind_the_second_uplink(two_node: Testbed, datapath, family):
    address = node_uplink(2, 1)[family]
    with two_node.capture() as seen:
        two_node.pod1.ping(address, 3)
    # Linux answers ARP on one device for the address of another: nothing needs to be lost. Whom
    # they come from is not looked at: they may be masqueraded.
    left = [
        frame.interface
        for frame in seen.frames
        if frame.interface in ("master:enp0s8", "master:enp0s9") and frame.direction == "out"
    ]
    assert left == ["master:enp0s9"] * 3, "leaves by the second"
    assert two_node.pod1.ping(two_node.pod2).lost == 0, "lost over the first"


def test_hr20_route_with_a_lightweight_tunnel(two_node: Testbed, datapath, family):
    """bpf_fib_lookup follows none (code 6), whatever device it names; the stack does."""
    network, address = TUNNELLED[family]
    two_node.master.add_tunnel_route(
        network, "enp0s8", OUTER[family], 7, gateway=two_node.node1.address
    )
    two_node.node1.add_address("lo", address, family.host_prefix)
    for node in ("master", "node1"):
        two_node.datapath_of(node).installed.sync()
    with two_node.evidence() as evidence:
        exchange = two_node.pod1.ping(address)
    assert exchange.lost == 0, "lost"
    if datapath.claims.counts and datapath.claims.forwards == "redirect":
        assert evidence.nodes["master"].programs.fib == {"unsupp-lwt": 1}, "lookups"
