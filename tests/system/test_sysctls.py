# SPDX-License-Identifier: Apache-2.0
"""No sysctl of the machine decides a verdict: what a testbed takes over from it is pinned."""

import pytest

from harness.plumbing.netns import NetNS
from harness.topology import Network, Topology, sysctls
from harness.topology.sysctls import CONF, INDIFFERENT, PINNED, of_device
from tests.support.hostile_sysctls import hostile, last, make_hostile
from tests.support.run_cli import end, pytest_of, start

pytestmark = pytest.mark.usefixtures("hr_machine")


@pytest.mark.parametrize("which", CONF)
def test_every_sysctl_that_is_taken_over_is_pinned_or_known_to_be_indifferent(which):
    """One that a newer kernel has must be judged, and put into either table."""
    ns = NetNS("new")
    try:
        listed = ns.run(["ls", f"/proc/sys/net/{which}/conf/default"]).split()
    finally:
        ns.close()
    assert set(listed) - CONF[which].keys() - INDIFFERENT[which].keys() == set()
    assert CONF[which].keys() & INDIFFERENT[which].keys() == set()


#: What the kernel rounds up to a jiffy of its own.
ROUNDED = {"mldv1_unsolicited_report_interval"}


def expected(host, network):
    """Path → the value that it should have on a host."""
    pins = dict(PINNED)
    for ifname in host.macs:
        for family, keys in CONF.items():
            pins |= {f"{family}/conf/{ifname}/{key}": pin for key, pin in keys.items()}
    for ifname in ("lo", *host.macs):
        pins |= of_device(ifname)
    values = {key: str(pin.value) for key, pin in pins.items()}
    for key in values:
        if host in network.nodes and last(key) == "forwarding":
            values[key] = "1"
        if host is network.switch and last(key) == "disable_ipv6":
            values[key] = "1"
    if host in network.nodes:  # a router follows no redirects (inet_forward_change())
        values["ipv4/conf/all/accept_redirects"] = "0"
    return values


def different(network):
    """Host → what is not as it should be: what it is, and what it should be."""
    found = {}
    for host in network.hosts:
        should = expected(host, network)
        values = host.ns.read_sysctls(should, PINNED.keys() | should.keys())
        found[host.name] = {
            key: (value, should[key])
            for key, value in values.items()
            if value.split() != should[key].split() and last(key) not in ROUNDED
        }
    return {name: rows for name, rows in found.items() if rows}


TOPOLOGY = Topology(nodes=2, pods_per_node=2, world=True)


def test_what_is_built_on_a_hostile_machine_is_as_pinned(monkeypatch):
    make_hostile(monkeypatch.setattr)
    with Network(TOPOLOGY) as network:
        assert different(network) == {}


def test_what_is_built_here_is_as_pinned():
    with Network(TOPOLOGY) as network:
        assert different(network) == {}


def test_without_pins_all_of_it_would_be_taken_over(monkeypatch):
    """The control: the machine of these tests is as hostile as they say."""
    make_hostile(monkeypatch.setattr)
    ns = NetNS("new")
    try:
        found = ns.read_sysctls(PINNED, PINNED)
    finally:
        ns.close()
    taken = {key: value.split() for key, value in found.items()}
    assert taken == {key: str(hostile(key, PINNED[key].value)).split() for key in found}
    same = {last(key) for key, value in taken.items() if value == str(PINNED[key].value).split()}
    assert same <= {"tcp_congestion_control"}  # which a kernel may have but one of


#: Of each kind of verdict some: sources, TTL, forwarding, neighbours, the gateway, errors, streams.
SELECTION = (
    "hr07_ping or hr10 or hr13_ttl or hr15 or hr16_gateway_is or hr17_ttl or hr22 or hr27 or hr28"
    " or hr31 or hr33 or hr45"
)


def run(tests, **environment):
    arguments = pytest_of(
        "-q", "-p", "tests.support.hostile_sysctls", "-m", "conformance", "--hr-datapath",
        "legacy,bpf", *tests,
    )  # fmt: skip
    return end(start(arguments, environment), 300)


def test_no_verdict_changes_on_a_hostile_machine():
    ended = run(["testbeds", "-k", SELECTION], HOSTILE="all")
    assert ended.code == 0, ended.text


#: A key → a test whose verdict it decides where it is not pinned.
DECIDED = {
    "route_localnet": ("two_node/test_router_duties.py", "hr45_host_source and ipv4"),
    "hop_limit": ("one_node/test_frames.py", "hr13_ttl_same_node and ipv6"),
    "mcast_solicit": ("two_node/test_neighbours.py", "hr27 and ipv6"),
}


@pytest.mark.parametrize("key", DECIDED)
def test_a_sysctl_that_is_not_pinned_decides_a_verdict(key):
    """The control: the machine is hostile, and the tests above would see it."""
    path, selected = DECIDED[key]
    tests = [f"testbeds/{path}", "-k", selected]
    pinned, unpinned = run(tests, HOSTILE=key), run(tests, HOSTILE=key, UNPINNED=key)
    assert pinned.code == 0, pinned.text
    assert unpinned.code == 1, unpinned.text
    assert " failed" in unpinned.out.splitlines()[-1]


def test_reasons_are_given():
    pins = [*PINNED.values(), *(p for keys in sysctls.NEIGHBOUR.values() for p in keys.values())]
    assert [pin for pin in pins if not pin.reason] == []
