# SPDX-License-Identifier: Apache-2.0
"""A testbed that is built is settled: nothing it was built of is still on its way in the kernel."""

import pytest

from harness.plumbing.netlink_batch import operational_states
from harness.topology import Host, Network, Topology, build

pytestmark = pytest.mark.usefixtures("hr_machine")
BUILDS = 3
IFF_RUNNING = 0x40


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
