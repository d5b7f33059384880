# SPDX-License-Identifier: Apache-2.0
"""Next hops that are not known, that move, and that never answer."""

import time
from ipaddress import ip_network

import pytest
from scapy.layers.inet import UDP

from harness.datapath.features import release
from harness.testbed import Testbed
from testbeds.packets import from_pod, ip
from testbeds.two_node.legs import DROPPED, TWO_NODES

NEW_MAC = "02:00:01:00:00:77"
_ASK = {4: "who-has", 6: "solicitation"}
_TELL = {4: "is-at", 6: "advertisement"}
_STALE, _FAILED = 0x04, 0x20  # NUD_*, uapi/linux/neighbour.h
_ONLINK = 4  # RTNH_F_ONLINK, uapi/linux/rtnetlink.h


def test_hr27_first_packet_to_a_cold_neighbour(two_node: Testbed, datapath, family, hr_observed):
    nexthop = two_node.node1.address
    two_node.master.delete_neighbour("enp0s8", nexthop)
    with two_node.evidence() as evidence, two_node.capture() as seen:
        exchange = two_node.pod1.ping(two_node.pod2)
    ask, tell = _ASK[family], _TELL[family]
    for kind in (ask, tell):
        hr_observed(kind, len(seen.at("master:enp0s8", kind)))
    assert exchange.lost == 0, "lost"
    rows = TWO_NODES[datapath.claims.off_wire]
    rows = rows.replace("master:enp0s8 ", f"master:enp0s8 > {ask} < {tell} ")
    rows = rows.replace("node1:enp0s8 ", f"node1:enp0s8 < {ask} > {tell} ")
    assert seen.legs() == rows
    if datapath.claims.bypasses_stack:  # the stack would resolve too: it must not have been asked
        assert evidence.nodes["master"].hooks["forward"] == 0, "forward hook"
    if datapath.claims.counts and datapath.claims.forwards == "redirect":
        assert evidence.nodes["master"].programs.fib == {"no-neigh": 1}, "lookups"


def _move(testbed: Testbed, announce):
    """node1's NIC gets another MAC, and says so or not."""
    node1 = testbed.node1
    for key in ("ipv4/conf/enp0s8/arp_notify", "ipv6/conf/enp0s8/ndisc_notify"):
        node1.ns.sysctl(key, int(announce))
    node1.ns.netlink.link("set", index=node1.ifindex("enp0s8"), address=NEW_MAC)
    if not announce:  # the change made node1 forget master; asking for it would be telling
        master = testbed.master
        for address in (master.addresses.ipv4, master.addresses.ipv6):
            node1.add_neighbour("enp0s8", address, master.macs["enp0s8"])


def _learn(testbed: Testbed, family, state):
    """Replace master's permanent entry for node1 by one that ages."""
    node1 = testbed.node1
    testbed.master.ns.netlink.neigh(
        "replace", dst=node1.addresses[family], lladdr=node1.macs["enp0s8"], state=state,
        ifindex=testbed.master.ifindex("enp0s8"), family=family.af,
    )  # fmt: skip


def test_hr28_next_hop_announces_another_mac(two_node: Testbed, datapath, family, hr_observed):
    _learn(two_node, family, _STALE)
    assert two_node.pod1.ping(two_node.pod2).lost == 0, "lost before"
    _move(two_node, announce=True)
    with two_node.capture() as seen:
        exchange = two_node.pod1.ping(two_node.pod2, 2)
    hr_observed("lost after the move", exchange.lost)
    assert exchange.lost == 0, "lost"
    requests = seen.at("master:enp0s8", "request", "out")
    assert [frame.destination_mac for frame in requests] == [NEW_MAC, NEW_MAC], "MACs"


@pytest.mark.claims("refreshes_neighbours")
def test_hr28_next_hop_moves_silently(two_node: Testbed, datapath, family):
    """Only who keeps the neighbour layer informed that an entry is in use finds out."""
    master = two_node.master
    # The kernel's own timers, shortened: seconds to first probe, ms between probes.
    for key, value in (("delay_first_probe_time", 0), ("retrans_time_ms", 20)):
        master.ns.sysctl(f"{family.name}/neigh/enp0s8/{key}", value)
    _learn(two_node, family, _STALE)
    _move(two_node, announce=False)
    nexthop = two_node.node1.address
    deadline = time.monotonic() + 10
    while master.neighbours(family).get(nexthop) != NEW_MAC and time.monotonic() < deadline:
        two_node.pod1.ping(two_node.pod2)
    with two_node.capture() as seen:
        exchange = two_node.pod1.ping(two_node.pod2)
    assert exchange.lost == 0, "lost"
    requests = seen.at("master:enp0s8", "request", "out")
    assert [frame.destination_mac for frame in requests] == [NEW_MAC], "MACs"


DEAD = {
    4: ("203.0.113.0/24", "203.0.113.7", "192.168.56.99"),
    6: ("2001:db8:dead::/64", "2001:db8:dead::7", "fd00:56::99"),
}


def _route_to_nobody(testbed: Testbed, family, retrans_ms):
    network, address, nexthop = DEAD[family]
    testbed.master.ns.sysctl(f"{family.name}/neigh/enp0s8/retrans_time_ms", retrans_ms)
    testbed.master.add_route(network, gateway=nexthop, dev="enp0s8")
    return address, nexthop


def test_hr29_neighbour_that_never_answers(two_node: Testbed, datapath, family, hr_observed):
    # One question and no second one while the test lasts, however slow the machine.
    address, _ = _route_to_nobody(two_node, family, retrans_ms=60_000)
    with two_node.evidence() as evidence, two_node.capture() as seen:
        exchange = two_node.pod1.ping(address)
    hr_observed(_ASK[family], len(seen.at("master:enp0s8", _ASK[family])))
    for result, lookups in evidence.nodes["master"].programs.fib.items():
        hr_observed(f"lookup {result}", lookups)
    assert exchange.lost == 1, "lost"
    expected = f"""
        master:enp0s8    > {_ASK[family]}
        node1:enp0s8     < {_ASK[family]}
    """
    assert seen.legs() == DROPPED[datapath.claims.delivers] + expected
    if datapath.claims.counts and datapath.claims.forwards == "redirect":
        assert evidence.nodes["master"].programs.fib == {"no-neigh": 1}, "lookups"


def test_hr29_failed_neighbour_is_never_sent_to(two_node: Testbed, datapath, family, hr_observed):
    address, nexthop = _route_to_nobody(two_node, family, retrans_ms=20)
    two_node.pod1.ping(address)
    deadline = time.monotonic() + 10
    state = None
    while state != _FAILED and time.monotonic() < deadline:
        entries = two_node.master.ns.netlink.get_neighbours(dst=nexthop, family=family.af)
        state = entries[0]["state"] if entries else None
    assert state == _FAILED, "neighbour has failed"
    with two_node.evidence() as evidence, two_node.capture() as seen:
        exchange = two_node.pod1.ping(address)
    for result, lookups in evidence.nodes["master"].programs.fib.items():
        hr_observed(f"lookup {result}", lookups)
    assert exchange.lost == 1, "lost"
    assert seen.at("master:enp0s8", "request") == [], "sent to"
    # Up to 6.2, without a backport of "bpf: fib_lookup: require NUD_VALID", a success and no MAC.
    told = [{"no-neigh": 1}] if release() >= (6, 3) else [{"no-neigh": 1}, {"success": 1}]
    if datapath.claims.counts and datapath.claims.forwards == "redirect":
        assert evidence.nodes["master"].programs.fib in told, "lookups"


#: Two networks behind routers of one address, each behind an interface of its own.
TWINS = {
    4: ("10.99.0.1", ["203.0.113.0/24", "198.51.100.0/24"]),
    6: ("fd00:99::1", ["2001:db8:a::/64", "2001:db8:b::/64"]),
}
ROUTER_MAC = "02:00:01:00:00:99"


@pytest.mark.claims("refreshes_neighbours", "any_device")
def test_hr28_next_hops_that_share_an_address(two_node: Testbed, datapath, family):
    """Each is told to the neighbour layer as in use, as only then its silent move is found."""
    master, pod = two_node.master, two_node.pod1
    router, networks = TWINS[family]
    for device, network in zip(("enp0s8", "lxc1"), networks, strict=True):
        master.ns.netlink.neigh(
            "replace", dst=router, lladdr=ROUTER_MAC, state=_STALE,
            ifindex=master.ifindex(device), family=family.af,
        )  # fmt: skip
        master.add_route(network, gateway=router, dev=device, flags=_ONLINK)
    with two_node.evidence() as evidence:
        for network in networks:
            packet = ip(family, pod.address, str(next(ip_network(network).hosts())))
            pod.inject("eth0", [from_pod(pod, packet / UDP(sport=4000, dport=4001))])
    entries = master.ns.netlink.get_neighbours(dst=router, family=family.af)
    # An entry in use is probed after a delay, and is stale no longer.
    assert len(entries) == 2, "entries"
    assert _STALE not in {entry["state"] for entry in entries}, "in use"
    if datapath.claims.counts and datapath.claims.forwards == "redirect":
        programs = evidence.nodes["master"].programs
        assert programs.fib == {"success": 2}, "lookups"
        assert programs.hits.get(("from-container", "neigh"), 0) == 2, "through bpf_redirect_neigh"
