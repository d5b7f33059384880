# SPDX-License-Identifier: Apache-2.0
"""Policy on one node: who may begin a flow with whom, and what belongs to it."""

from ipaddress import ip_address, ip_network

import pytest
from scapy.layers.inet import ICMP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply

from harness.datapath import Policy, Rule
from harness.plugin.building import BuildTestbed
from testbeds.one_node.legs import DROPPED, SAME_NODE
from testbeds.packets import echo, ip
from testbeds.policies import mute, policed, reach, selects, tapped

pytestmark = pytest.mark.claims("policy")


def _packets(sender, receiver, number=1):
    """A first packet of a flow of each kind; flows of unlike numbers differ."""
    header = ip(sender.family, sender.address, receiver.address)
    port = 4000 + number
    return {
        "udp": header / UDP(sport=port, dport=5000),
        "tcp": header / TCP(sport=port, dport=5000, flags="S"),
        "echo": header / echo(sender.family, port),
    }


def test_hr49_policy_without_a_rule_changes_nothing(build_testbed: BuildTestbed, datapath, family):
    testbed = policed(build_testbed, "one_node", datapath, family)
    with testbed.capture() as seen:
        exchange = testbed.pod1.ping(testbed.pod2)
    assert exchange.lost == 0, "lost"
    assert seen.legs() == SAME_NODE[datapath.claims.delivers]
    assert [frame.ttl for frame in seen.at("pod2:eth0", "request", "in")] == [63], "TTL at pod2"


def test_hr49_selected_in_one_direction_is_open_in_the_other(
    build_testbed: BuildTestbed, datapath, family
):
    testbed = policed(build_testbed, "one_node", datapath, family, Rule("pod2", "ingress", "deny"))
    pod, other = testbed.pod1, testbed.pod2
    asked = {"closed": pod.ping(other), "open": other.ping(pod), "node": testbed.master.ping(other)}
    assert {name: exchange.lost for name, exchange in asked.items()} == {
        "closed": 1, "open": 0, "node": 0,
    }, "lost"  # fmt: skip


def _denied(build_testbed: BuildTestbed, datapath, family, rule):
    testbed = policed(build_testbed, "one_node", datapath, family, rule)
    with testbed.capture() as seen:
        exchange = testbed.pod1.ping(testbed.pod2)
    with tapped(testbed.pod2) as tap:
        arrived = reach(testbed.pod1, tap, _packets(testbed.pod1, testbed.pod2))
    return seen, exchange, arrived


@pytest.mark.parametrize("verdict", ["deny", "allow"])
def test_hr34_ingress_is_denied(build_testbed: BuildTestbed, datapath, family, verdict):
    rule = {"deny": Rule("pod2", "ingress", "deny"), "allow": selects("pod2", "ingress")}[verdict]
    seen, exchange, arrived = _denied(build_testbed, datapath, family, rule)
    assert seen.legs() == DROPPED[datapath.claims.delivers]
    assert exchange.errors == [], "errors"
    assert arrived == [], "arrived"


@pytest.mark.parametrize("verdict", ["deny", "allow"])
def test_hr35_egress_is_denied(build_testbed: BuildTestbed, datapath, family, verdict):
    rule = {"deny": Rule("pod1", "egress", "deny"), "allow": selects("pod1", "egress")}[verdict]
    seen, exchange, arrived = _denied(build_testbed, datapath, family, rule)
    assert seen.legs() == DROPPED[datapath.claims.delivers]
    assert exchange.errors == [], "errors"
    assert arrived == [], "arrived"


def _around(address):
    """Networks by how they lie to an address, and the prefix that a pod network has."""
    own, bits = ip_address(address), 24 if "." in address else 64
    around = ip_network(f"{own}/{bits}", strict=False)
    beside = ip_network(f"{around[0] + around.num_addresses}/{bits}")
    return {"host": str(own), "next": str(own + 1), "before": str(own - 1),
            "around": str(around), "beside": str(beside),
            "all": "0.0.0.0/0" if bits == 24 else "::/0"}  # fmt: skip


#: Rules of pod2 in ingress → which of pod1's packets pass: (verdict, network, protocol, port).
RULES: dict[str, tuple[list[tuple[str, str, str, int | None]], list[str]]] = {
    "its address": ([("allow", "host", "any", None)], ["udp", "udp+1", "udp-1", "tcp", "echo"]),
    "addresses beside it": ([("allow", "next", "any", None), ("allow", "before", "any", None)], []),
    "its network": ([("allow", "around", "udp", None)], ["udp", "udp+1", "udp-1"]),
    "the network beside": ([("allow", "beside", "any", None)], []),
    "everywhere": ([("allow", "all", "icmp", None)], ["echo"]),
    "a port": ([("allow", "any", "udp", 5000)], ["udp"]),
    "the same port of TCP": ([("allow", "any", "tcp", 5000)], ["tcp"]),
    "two rules": (
        [("allow", "around", "udp", 5001), ("allow", "all", "tcp", None)], ["udp+1", "tcp"],
    ),
    "deny inside allow": ([("allow", "around", "any", None), ("deny", "host", "any", None)], []),
    "allow inside deny": ([("deny", "around", "any", None), ("allow", "host", "any", None)], []),
    "deny a port": (
        [("allow", "any", "any", None), ("deny", "all", "udp", 5000)],
        ["udp+1", "udp-1", "tcp", "echo"],
    ),
    "deny a protocol, allow its port": (
        [("deny", "host", "udp", None), ("allow", "any", "udp", 5000)], [],
    ),
}  # fmt: skip


def test_hr50_rules_by_network_protocol_and_port(build_testbed: BuildTestbed, datapath, family):
    testbed = policed(build_testbed, "one_node", datapath, family)
    pod, other = testbed.pod1, testbed.pod2
    networks = _around(pod.address) | {"any": "any"}
    mute(other)
    found = {}
    with tapped(other) as tap:
        for number, (name, (rules, _)) in enumerate(RULES.items()):
            testbed.enforce(Policy(tuple(
                Rule("pod2", "ingress", verdict, networks[network], protocol, port)
                for verdict, network, protocol, port in rules
            )))  # fmt: skip
            packets = _packets(pod, other, number)
            for step in (1, -1):
                header = ip(family, pod.address, other.address)
                packets[f"udp{step:+}"] = header / UDP(sport=4000 + number, dport=5000 + step)
            found[name] = sorted(reach(pod, tap, packets))
    assert found == {name: sorted(passing) for name, (_, passing) in RULES.items()}, "arrived"


def test_hr50_egress_rules_look_at_the_other_end(build_testbed: BuildTestbed, datapath, family):
    testbed = policed(build_testbed, "one_node", datapath, family)
    pod, other = testbed.pod1, testbed.pod2
    networks = _around(other.address)
    mute(other)
    found = {}
    with tapped(other) as tap:
        for number, name in enumerate(networks):
            testbed.enforce(Policy((Rule("pod1", "egress", "allow", networks[name], "udp", 5000),)))
            found[name] = reach(pod, tap, _packets(pod, other, number))
    passing = {"host", "around", "all"}
    assert found == {name: ["udp"] if name in passing else [] for name in networks}, "arrived"


REPLY = {4: lambda number: ICMP(type=0, id=number, seq=1),
         6: lambda number: ICMPv6EchoReply(id=number, seq=1)}  # fmt: skip


def test_hr51_replies_pass_and_what_begins_elsewhere_does_not(
    build_testbed: BuildTestbed, datapath, family
):
    testbed = policed(build_testbed, "one_node", datapath, family,
                      selects("pod1", "ingress"))  # fmt: skip
    pod, other = testbed.pod1, testbed.pod2
    assert (pod.ping(other).lost, pod.datagrams(other).lost) == (0, 0), "lost"
    assert pod.stream(other, 50_000).received == 50_000, "received"
    mute(pod)
    mute(other)
    back = ip(family, other.address, pod.address)
    with tapped(pod) as at_pod, tapped(other) as at_other:
        packets = {
            "udp": back / UDP(sport=5000, dport=4000),
            "tcp": back / TCP(sport=5000, dport=4000, flags="A", seq=1, ack=1),
            "echo's reply": back / REPLY[family](4000),
        }
        first, again = (reach(other, at_pod, packets) for _ in range(2))
        asked = reach(pod, at_other, _packets(pod, other, 0))
        answered = reach(other, at_pod, {
            "udp": back / UDP(sport=5000, dport=4000),
            "tcp": back / TCP(sport=5000, dport=4000, flags="SA", seq=0, ack=1),
            "echo's reply": back / REPLY[family](4000),
            "other port": back / UDP(sport=5000, dport=4001),
        })  # fmt: skip
    assert (first, again) == ([], []), "begun elsewhere"
    assert asked == ["udp", "tcp", "echo"], "asked"
    assert answered == ["udp", "tcp", "echo's reply"], "answered"


def test_hr56_changed_rules_reach_established_flows(build_testbed: BuildTestbed, datapath, family):
    allow = Rule("pod2", "ingress", "allow", protocol="udp", port=5000)
    testbed = policed(build_testbed, "one_node", datapath, family, allow)
    pod, other = testbed.pod1, testbed.pod2
    mute(other)
    packet = {"udp": ip(family, pod.address, other.address) / UDP(sport=4000, dport=5000)}
    with tapped(other) as tap:
        allowed = reach(pod, tap, packet)
        testbed.enforce(Policy((selects("pod2", "ingress"),)))
        removed = [reach(pod, tap, packet) for _ in range(2)]
        testbed.enforce(Policy((allow,)))
        added = reach(pod, tap, packet)
        testbed.enforce(Policy((allow, Rule("pod1", "egress", "deny"))))
        denied = reach(pod, tap, packet)
        testbed.enforce(Policy())
        opened = reach(pod, tap, packet)
    assert allowed == ["udp"], "allowed"
    assert removed == [[], []], "removed"
    assert (added, denied, opened) == (["udp"], [], ["udp"]), "added, denied, opened"
