# SPDX-License-Identifier: Apache-2.0
"""The answers of bpf_fib_lookup, and what the datapath makes of them.

A datapath without a lookup of its own declines: bpf_redirect_neigh's inner one drops silently.
"""

import pytest

from harness.testbed import Testbed
from harness.topology.addressing import pod_networks
from testbeds.packets import probe
from testbeds.sightings import refusals
from testbeds.two_node.legs import DROPPED, OWN_NODE, REFUSED

#: Route type → ICMP error (type, code) that the stack sends in each family (None: silence);
#: net/ipv4/route.c ip_error(), net/ipv6/route.c ip6_pkt_drop().
REFUSING: dict[str, dict[int, tuple[int, int] | None]] = {
    "blackhole": {4: None, 6: None},
    "unreachable": {4: (3, 1), 6: (1, 0)},
    "prohibit": {4: (3, 13), 6: (1, 1)},
}


def _note(observed, exchange, evidence):
    """What the lookup said, and what the pod was told."""
    for result, lookups in evidence.nodes["master"].programs.fib.items():
        observed(f"lookup {result}", lookups)
    for error in exchange.errors:
        observed("ICMP type, code", f"{error.type}, {error.code}")


def _other_nodes_pods(testbed: Testbed, family):
    return str(pod_networks(2)[family])


@pytest.mark.claims("refusing_routes")
@pytest.mark.parametrize("kind", REFUSING)
def test_hr19_refusing_routes(two_node: Testbed, datapath, family, kind, hr_observed):
    network = _other_nodes_pods(two_node, family)
    two_node.master.delete_route(network)
    two_node.master.add_route(network, type=kind)
    with two_node.evidence() as evidence, two_node.capture() as seen:
        exchange = two_node.pod1.ping(two_node.pod2)
        probe(two_node.pod1, two_node.pod2.address)
    _note(hr_observed, exchange, evidence)
    assert exchange.lost == 1, "lost"
    error = REFUSING[kind][family] if datapath.claims.refusing_routes == "tell" else None
    assert seen.legs() == (REFUSED if error else DROPPED[datapath.claims.delivers])
    assert [(e.type, e.code) for e in exchange.errors] == ([error] if error else []), "errors"
    if datapath.claims.counts and datapath.claims.forwards == "redirect":
        assert evidence.nodes["master"].programs.fib == {kind: 3}, "lookups"
        assert evidence.nodes["master"].programs.drops == {"fib": 3}, "drops"


@pytest.mark.claims("tells_no_route")
def test_hr21_no_route(two_node: Testbed, datapath, family, hr_observed):
    two_node.master.delete_route(_other_nodes_pods(two_node, family))
    with two_node.evidence() as evidence, two_node.capture() as seen:
        exchange = two_node.pod1.ping(two_node.pod2)
        probe(two_node.pod1, two_node.pod2.address)
    _note(hr_observed, exchange, evidence)
    assert [(e.type, e.code) for e in exchange.errors] == [{4: (3, 0), 6: (1, 0)}[family]], "errors"
    assert seen.legs() == REFUSED
    if datapath.claims.counts and datapath.claims.forwards == "redirect":
        assert evidence.nodes["master"].programs.fib == {"not-fwded": 3}, "lookups"
        hits = evidence.nodes["master"].programs.hits
        assert hits.get(("from-container", "stack"), 0) == 3, "left to the stack"


@pytest.mark.claims("obeys_forwarding")
@pytest.mark.topology(pods_per_node=2)
def test_hr22_forwarding_off_on_the_lxc(two_node: Testbed, datapath, family, hr_observed):
    two_node.master.ns.sysctl(f"{family.name}/conf/lxc1/forwarding", 0)
    with two_node.evidence() as evidence:
        away = two_node.pod1.ping(two_node.pod3)
        local = two_node.pod1.ping(two_node.pod2)
        datagrams = [two_node.pod1.datagrams(pod).lost for pod in (two_node.pod3, two_node.pod2)]
    _note(hr_observed, away, evidence)
    # Only what asks the stack's routes for a local pod loses local traffic too.
    expected = [1, int(datapath.claims.local_pods == "routes")]
    assert [away.lost, local.lost] == expected, "lost"
    assert datagrams == expected, "datagrams lost"
    if datapath.claims.counts and datapath.claims.forwards == "redirect":
        assert evidence.nodes["master"].programs.fib == {"fwd-disabled": 2}, "lookups"
        assert evidence.nodes["master"].programs.drops == {"fib": 2}, "drops"


def test_hr20_address_of_the_node_that_is_no_pod(two_node: Testbed, datapath, family):
    address = {4: "10.0.1.200", 6: "fd00:10:0:1::c8"}[family]
    two_node.master.add_address("lo", address, family.host_prefix)
    if datapath.claims.node_addresses == "table":  # without a lookup, an agent must tell it
        two_node.datapath_of("master").installed.sync()
    with two_node.capture() as seen:
        exchange = two_node.pod1.ping(address)
        probe(two_node.pod1, address)
    assert exchange.lost == 0, "lost"
    assert seen.legs(exchange.flow) == OWN_NODE
    errors, resets = refusals(seen, two_node.pod1, address)
    assert (len(errors), len(resets)) == (1, 1), "refusals"
