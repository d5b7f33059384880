# SPDX-License-Identifier: Apache-2.0
"""A testbed that is built is settled: nothing it was built of is still on its way in the kernel."""

import pytest

from harness.datapath import find
from harness.plumbing.errors import KernelError
from harness.plumbing.netlink_batch import operational_states
from harness.testbed import Testbed
from harness.topology import Family, Host, Network, Topology, build, hosts

pytestmark = pytest.mark.usefixtures("hr_machine")
BUILDS = 3
IFF_RUNNING = 0x40
LOCAL_TABLE = 255  # RT_TABLE_LOCAL, uapi/linux/rtnetlink.h


def states(network):
    """Every interface's state, and whether IFF_RUNNING; a dump does none of linkwatch's work."""
    return {
        f"{host.name}:{link.get_attr('IFLA_IFNAME')}": (
            link.get_attr("IFLA_OPERSTATE"),
            bool(link["flags"] & IFF_RUNNING),
        )
        for host in network.hosts
        for link in host.ns.netlink.get_links()
        if link.get_attr("IFLA_IFNAME") in host.macs
    }


@pytest.fixture
def late(monkeypatch):
    """Each end of a pod's veth pair has its peer's ifindex: linkwatch takes its time, a second.

    Without it takes so long only where the machine has much to do, and MLD reports come in the
    middle of a test.
    """
    monkeypatch.setattr(build, "_IFINDEX", 2)


def test_every_change_of_a_link_has_been_announced(late):
    for _ in range(BUILDS):  # the first may be in time
        with Network(Topology(pods_per_node=2)) as network:
            assert set(states(network).values()) == {("UP", True)}, states(network)


def test_that_linkwatch_is_late_would_be_noticed(late, monkeypatch):
    """And IFF_RUNNING would not tell: it is set although linkwatch has not seen the link yet."""
    monkeypatch.setattr(Host, "await_settled", lambda _host: None)
    seen = set()
    for _ in range(BUILDS):
        with Network(Topology(pods_per_node=2)) as network:
            seen |= set(states(network).values())
    assert ("UNKNOWN", True) in seen


def test_a_link_that_linkwatch_never_saw_is_unknown():
    with Network(Topology(pods_per_node=2)) as network:
        master = network.nodes[0]
        assert operational_states(master.ns, [1, master.ifindex("lxc1")]) == ["UNKNOWN", "UP"]


@pytest.fixture
def slow_dad():
    """A testbed whose lxc1 probes an IPv6 address for 300 ms before the node answers for it.

    Without duplicate address detection that takes so long only where another namespace holds the
    RTNL, as on a busy machine.
    """
    with Testbed(Topology(), find("legacy"), Family.ipv6) as testbed:
        testbed.master.ns.sysctls({
            "ipv6/conf/lxc1/accept_dad": 1, "ipv6/conf/lxc1/router_solicitation_delay": 0,
            "ipv6/neigh/lxc1/retrans_time_ms": 300,
        })  # fmt: skip
        yield testbed


ADDED = "2001:db8::c8"


def test_an_address_that_was_added_answers(slow_dad):
    slow_dad.master.add_address("lxc1", ADDED, 128)
    assert slow_dad.pod1.ping(ADDED).lost == 0


def test_that_an_address_is_late_would_be_noticed(slow_dad):
    slow_dad.master.host.add_address("lxc1", ADDED, 128)
    assert slow_dad.pod1.ping(ADDED).lost == 1


def test_an_address_without_its_local_route_is_not_ready(slow_dad, monkeypatch):
    """addrconf clears the tentative flag before it adds the route."""
    master = slow_dad.master
    master.add_address("lxc1", ADDED, 128)
    local = {"table": LOCAL_TABLE, "type": "local", "dev": "lxc1"}
    master.delete_route(f"{ADDED}/128", **local)
    monkeypatch.setattr(hosts, "_SETTLE_SECONDS", 0.1)
    with pytest.raises(KernelError, match="20010db80000000000000000000000c8 of master is not"):
        master.await_settled()
