# SPDX-License-Identifier: Apache-2.0
"""Mutants: services and masquerading of the legacy path, whose rules have a fault."""

from __future__ import annotations

from harness.datapath.kube_proxy import Change
from testbeds.mutants.mutant import Catch, Mutant

_ONE, _TWO = "one_node/test_services::", "two_node/test_services::"
NEAR, HAIRPIN = _ONE + "test_hr42_cluster_ip_same_node", _ONE + "test_hr60_hairpin"
HOST, SPREAD = _ONE + "test_hr62_process_of_the_node", _ONE + "test_hr58_flows_spread_and_stay"
KEPT = _ONE + "test_hr59_a_client_keeps_its_backend"
CLIENTS = _ONE + "test_hr59_every_client_keeps_its_own_backend"
EXTERNAL = _TWO + "test_hr42_external_address_asked_by_a_pod"
OWN_NODE = _TWO + "test_hr42_node_port_of_the_own_node"
OWN_PROCESS = _TWO + "test_hr62_node_port_of_an_own_process"
OTHER_NODE = _TWO + "test_hr42_node_port_of_another_node"
WORLD_NOBODY = _TWO + "test_hr61_no_backend_for_the_world"
FAR, OUTSIDE = _TWO + "test_hr42_cluster_ip_two_nodes", _TWO + "test_hr42_asked_from_outside"
NODE_PORT, WORLD = _TWO + "test_hr42_node_port_two_nodes", _TWO + "test_hr40_pod_and_world"
NOBODY, UNMATCHED = _TWO + "test_hr61_no_backend", _TWO + "test_hr61_what_no_rule_matches"
NODE_PORT_HOST = _TWO + "test_hr62_node_port_of_a_process"
LOCAL = _TWO + "test_hr65_local_backend_sees_the_client"
ELSEWHERE = _TWO + "test_hr65_no_local_backend"
_AT_NODE, _EXTERNAL = {"front": "node-port"}, {"front": "external"}


def _stack(name: str, changes: tuple[Change, ...], *catches: Catch) -> Mutant:
    return Mutant(name, (), catches, "legacy", changes=changes)


def _more(name: str, nft: str, *catches: Catch) -> Mutant:
    return Mutant(name, (), catches, "legacy", nft=nft)


_IN_TURN = """
table {ip} fault {{ chain fault {{ type filter hook prerouting priority raw; policy accept;
    {ip} daddr {front} udp dport 80 notrack {ip} daddr set numgen random mod 2 map {{ {map} }}
        udp dport set 8080; }}; }}
"""

MUTANTS: tuple[Mutant, ...] = (
    _stack(
        "who asks a ClusterIP is masqueraded",
        (Change(r"^(-A KUBE-SVC-\S+) ! -s \S+ -d", r"\1 -d"),),
        Catch(NEAR, "legs"), Catch(FAR, "legs"), Catch(ELSEWHERE, "legs from inside"),
    ),
    _stack(
        "backends are asked at the service's port",
        (Change(r"(--to-destination \S+):8080$", r"\1:80"),),
        Catch(NEAR, "legs"), Catch(HOST, "legs"), Catch(SPREAD, "arrived"), Catch(KEPT, "arrived"),
    ),
    _stack(
        "who is its own backend is not masqueraded",
        (Change(r"^-A KUBE-SEP-\S+ -s \S+ -j KUBE-MARK-MASQ\n"),),
        Catch(HAIRPIN, "legs"),
    ),
    _stack(
        "who asks a NodePort is not masqueraded",
        (Change(r"^-A KUBE-EXT-\S+ -j KUBE-MARK-MASQ\n"),),
        Catch(OUTSIDE, "legs", _AT_NODE), Catch(OUTSIDE, "legs", _EXTERNAL),
        Catch(NODE_PORT, "legs"), Catch(NODE_PORT_HOST, "legs"),
        Catch(EXTERNAL, "legs", {"backend": "near"}), Catch(EXTERNAL, "legs", {"backend": "far"}),
        Catch(OTHER_NODE, "legs"),
    ),
    _stack(
        "no backend: dropped in silence",
        (Change(r"-j REJECT$", "-j DROP"),),
        Catch(NOBODY, "legs"), Catch(WORLD_NOBODY, "legs"),
    ),
    _stack(
        "no backend: another error",
        (
            Change(r"(/32 .*) -j REJECT$", r"\1 -j REJECT --reject-with icmp-host-unreachable"),
            Change(r"(/128 .*) -j REJECT$", r"\1 -j REJECT --reject-with icmp6-addr-unreachable"),
        ),
        Catch(NOBODY, "port unreachable"),
    ),
    _stack(
        "a service's address refuses whatever no rule matches",
        (Change(r"^(-A KUBE-SERVICES -d \S+) -p .* -j REJECT$", r"\1 -j REJECT"),),
        Catch(UNMATCHED, "leaves the node", {"asked": "unknown-port"}),
        Catch(UNMATCHED, "leaves the node", {"asked": "echo"}),
    ),
    _stack(
        "the first backend has it all",
        (Change(r" -m statistic --mode random --probability \S+"),),
        Catch(SPREAD, "share of each backend"),
    ),
    _stack(
        "affinity is ignored",
        (Change(r"^-A KUBE-SVC-\S+ -m recent .*\n"),),
        Catch(KEPT, "backend of a client"), Catch(CLIENTS, "backend of each client"),
    ),
    _stack(
        "`recent` knows the front instead of the client",
        (Change(r"( -m recent .*)( -j )", r"\1 --rdest\2"),),
        Catch(CLIENTS, "backends of all"),
    ),
    _stack(
        "a local service masquerades who asks",
        (Change(r"^(-A KUBE-EXT-\S+)( -j KUBE-SVL-\S+)$", r"\1 -j KUBE-MARK-MASQ\n\1\2"),),
        Catch(LOCAL, "legs"),
    ),
    _stack(
        "no local backend: refused aloud",
        (Change(r"^(-A KUBE-EXTERNAL-SERVICES .*) -j DROP$", r"\1 -j REJECT"),),
        Catch(ELSEWHERE, "legs from outside"),
    ),
    _stack(
        "pods are seen by the world",
        (Change(r"^-A CNI-MASQUERADE .*\n"),),
        Catch(WORLD, "legs"),
    ),
    _more(
        "a backend chosen for every packet",
        _IN_TURN.format(ip="ip", front="172.16.200.4", map="0 : 10.0.1.11, 1 : 10.0.1.12")
        + _IN_TURN.format(
            ip="ip6", front="fd00:5e::200:4", map="0 : fd00:10:0:1::b, 1 : fd00:10:0:1::c"
        ),
        Catch(SPREAD, "backend of a flow"),
    ),
    _more(
        "replies are damaged",
        "table inet fault { chain fault { type filter hook postrouting priority 0; policy accept;"
        " meta l4proto udp ct direction reply @th,96,8 set 0xff; }; }",
        *(Catch(test, "answered") for test in
          (NEAR, HAIRPIN, HOST, FAR, NODE_PORT, WORLD, NODE_PORT_HOST, LOCAL)),
        Catch(OUTSIDE, "answered", _AT_NODE), Catch(EXTERNAL, "answered", {"backend": "far"}),
        *(Catch(test, "answered") for test in (OTHER_NODE, OWN_NODE, OWN_PROCESS)),
    ),
    _more(
        "echo replies are lost in the node",
        "table inet fault { chain fault { type filter hook output priority 0; policy accept;"
        " icmp type echo-reply drop; icmpv6 type echo-reply drop; }; }",
        Catch(HAIRPIN, "gateway's replies"),
    ),
    _more(
        "echo replies are damaged",
        "table inet fault { chain fault { type filter hook postrouting priority 0; policy accept;"
        " icmp type echo-reply @th,64,8 set 0xff; icmpv6 type echo-reply @th,64,8 set 0xff; }; }",
        Catch(WORLD, "replies"),
    ),
    _more(
        "TTL is taken twice",
        "table inet fault { chain fault { type filter hook forward priority 0; policy accept;"
        " ip ttl set 60; ip6 hoplimit set 60; }; }",
        Catch(NEAR, "TTL at the pods"), Catch(FAR, "TTL at the pods"),
        Catch(OUTSIDE, "TTL at both ends", _AT_NODE), Catch(NODE_PORT, "TTL at both ends"),
    ),
)  # fmt: skip
