# SPDX-License-Identifier: Apache-2.0
"""Next hops that are not known, that move, and that never answer."""

import time
from ipaddress import ip_network

import pytest
from scapy.layers.inet import UDP

from harness.datapath.features import release
from harness.testbed import Testbed
from harness.traffic.fence import pinned
from testbeds.packets import from_pod, ip, probe
from testbeds.two_node.legs import DROPPED, TWO_NODES

NEW_MAC = "02:00:01:00:00:77"
NEXT_MAC = "02:00:01:00:00:78"
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


def test_hr27_first_packet_of_tcp_and_udp(two_node: Testbed, datapath, family):
    nexthop = two_node.node1.address
    with two_node.evidence() as evidence:
        two_node.master.delete_neighbour("enp0s8", nexthop)
        datagram = two_node.pod1.datagrams(two_node.pod2)
        assert datagram.lost == 0, "lost"
        two_node.master.delete_neighbour("enp0s8", nexthop)
        two_node.pod1.stream(two_node.pod2, 1000)
    if datapath.claims.bypasses_stack:  # the stack would resolve too: it must not have been asked
        assert evidence.nodes["master"].hooks["forward"] == 0, "forward hook"


def _move(testbed: Testbed, announce, mac=NEW_MAC):
    """node1's NIC gets another MAC, and says so or not."""
    node1 = testbed.node1
    for key in ("ipv4/conf/enp0s8/arp_notify", "ipv6/conf/enp0s8/ndisc_notify"):
        node1.ns.sysctl(key, int(announce))
    node1.ns.netlink.link("set", index=node1.ifindex("enp0s8"), address=mac)
    if not announce:  # the change made node1 forget master; asking for it would be telling
        master = testbed.master
        for address in (master.addresses.ipv4, master.addresses.ipv6):
            node1.add_neighbour("enp0s8", address, master.macs["enp0s8"])


def _learn(testbed: Testbed, family, state, mac=""):
    """Replace master's entry for node1 by one that ages."""
    node1 = testbed.node1
    testbed.master.ns.netlink.neigh(
        "replace", dst=node1.addresses[family], lladdr=mac or node1.macs["enp0s8"], state=state,
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


def _await_noticed(testbed: Testbed, mac):
    """Ping until master has that MAC for node1, or for ten seconds."""
    nexthop = testbed.node1.address
    deadline = time.monotonic() + 10
    while testbed.master.neighbours(testbed.family).get(nexthop) != mac:
        if time.monotonic() > deadline:
            break
        testbed.pod1.ping(testbed.pod2)


@pytest.mark.claims("refreshes_neighbours")
def test_hr28_next_hop_moves_silently(two_node: Testbed, datapath, family):
    """Only who keeps the neighbour layer informed that an entry is in use finds out, each time."""
    # The kernel's own timers, shortened: seconds to first probe, ms between probes.
    for key, value in (("delay_first_probe_time", 0), ("retrans_time_ms", 20)):
        two_node.master.ns.sysctl(f"{family.name}/neigh/enp0s8/{key}", value)
    moves = {}
    with pinned():  # a datapath may remember for each CPU when it last told
        for before, after in (("", NEW_MAC), (NEW_MAC, NEXT_MAC)):
            _learn(two_node, family, _STALE, before)
            _move(two_node, announce=False, mac=after)
            _await_noticed(two_node, after)
            with two_node.capture() as seen:
                exchange = two_node.pod1.ping(two_node.pod2)
            requests = seen.at("master:enp0s8", "request", "out")
            moves[after] = (exchange.lost, [frame.destination_mac for frame in requests])
    lost, macs = moves[NEW_MAC]
    assert lost == 0, "lost"
    assert macs == [NEW_MAC], "MACs"
    assert moves[NEXT_MAC] == (0, [NEXT_MAC]), "MACs after the second move"


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
        probe(two_node.pod1, address)
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
        assert evidence.nodes["master"].programs.fib == {"no-neigh": 3}, "lookups"


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
        probe(two_node.pod1, address)
    for result, lookups in evidence.nodes["master"].programs.fib.items():
        hr_observed(f"lookup {result}", lookups)
    assert exchange.lost == 1, "lost"
    assert seen.at("master:enp0s8", "request") == [], "sent to"
    # Up to 6.2, without a backport of "bpf: fib_lookup: require NUD_VALID", a success and no MAC.
    told = [{"no-neigh": 3}] if release() >= (6, 3) else [{"no-neigh": 3}, {"success": 3}]
    if datapath.claims.counts and datapath.claims.forwards == "redirect":
        assert evidence.nodes["master"].programs.fib in told, "lookups"


NETWORKS = {4: ["203.0.113.0/24", "198.51.100.0/24"], 6: ["2001:db8:a::/64", "2001:db8:b::/64"]}
ROUTER_MAC = "02:00:01:00:00:99"


def _send_by(testbed: Testbed, family, routers):
    """A packet by each of two stale routers, an address and a device each; returns their states."""
    master, pod = testbed.master, testbed.pod1
    for (router, device), network in zip(routers, NETWORKS[family], strict=True):
        master.ns.netlink.neigh(
            "replace", dst=router, lladdr=ROUTER_MAC, state=_STALE,
            ifindex=master.ifindex(device), family=family.af,
        )  # fmt: skip
        master.add_route(network, gateway=router, dev=device, flags=_ONLINK)
    packets = [
        ip(family, pod.address, str(next(ip_network(network).hosts()))) / UDP(sport=4000, dport=9)
        for network in NETWORKS[family]
    ]
    pod.inject("eth0", [from_pod(pod, packet) for packet in packets])
    return [
        entry["state"]
        for router, _ in dict(routers).items()
        for entry in master.ns.netlink.get_neighbours(dst=router, family=family.af)
    ]


#: Routers of one address, each behind an interface of its own.
TWIN = {4: "10.99.0.1", 6: "fd00:99::1"}


@pytest.mark.claims("refreshes_neighbours", "any_device")
def test_hr28_next_hops_that_share_an_address(two_node: Testbed, datapath, family):
    """Each is told to the neighbour layer as in use, as only then its silent move is found."""
    routers = [(TWIN[family], device) for device in ("enp0s8", "lxc1")]
    with two_node.evidence() as evidence:
        states = _send_by(two_node, family, routers)
    # An entry in use is probed after a delay, and is stale no longer.
    assert len(states) == 2, "entries"
    assert _STALE not in states, "in use"
    if datapath.claims.counts and datapath.claims.forwards == "redirect":
        programs = evidence.nodes["master"].programs
        assert programs.fib == {"success": 2}, "lookups"
        assert programs.hits.get(("from-container", "neigh"), 0) == 2, "through bpf_redirect_neigh"


#: Routers whose bytes come to the same by XOR, as the bundled programs fold an address to a slot.
ALIKE = {4: ["10.99.0.1", "10.99.1.0"], 6: ["fd00:99::1", "fd00:99::100"]}


@pytest.mark.claims("refreshes_neighbours")
def test_hr28_next_hops_that_share_a_slot(two_node: Testbed, datapath, family):
    """What remembers them by less than their address must not take one for the other."""
    with pinned():
        states = _send_by(two_node, family, [(router, "enp0s8") for router in ALIKE[family]])
    assert len(states) == 2, "entries"
    assert _STALE not in states, "in use"
