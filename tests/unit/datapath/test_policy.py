# SPDX-License-Identifier: Apache-2.0
"""Policy: what rules come to, and which are refused."""

import time
from ipaddress import ip_network

import pytest

from harness.datapath import NodeSettings, Policy, Rule, Timeouts, bpf_flows, decide
from harness.datapath.legacy_policy import policy_rules
from harness.datapath.policy import IN_USE, networks, verdicts
from harness.plumbing.errors import UnknownNameError
from harness.topology import Family
from harness.topology.addressing import Addresses

HOST, AROUND, WORLD = ip_network("10.0.1.10/32"), ip_network("10.0.1.0/24"), None


def said(*rules, network=WORLD, family=Family.ipv4):
    return verdicts([Rule("pod1", "ingress", *rule) for rule in rules], network, family)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"direction": "in"}, "direction 'in' is unknown: use egress, ingress"),
        ({"verdict": "drop"}, "verdict 'drop' is unknown: use allow, deny"),
        ({"protocol": "sctp"}, "protocol 'sctp' is unknown: use any, tcp, udp, icmp"),
        ({"network": "10.0.1.10/24"}, "has host bits set"),
        ({"network": "pod2"}, "does not appear to be an IPv4 or IPv6 network"),
        ({"protocol": "tcp", "port": 0}, "port 0 is not between 1 and 65535"),
        ({"protocol": "tcp", "port": 65536}, "port 65536 is not between"),
        ({"protocol": "tcp", "port": True}, "port True is not between"),
        ({"port": 80}, "port 80 of protocol any: name tcp or udp"),
        ({"protocol": "icmp", "port": 8}, "port 8 of protocol icmp"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_in_one_line(changes, message):
    with pytest.raises(UnknownNameError) as error:
        Rule(**{"pod": "pod7", "direction": "egress"} | changes)
    assert str(error.value).startswith("policy rule of pod7: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 1e7])
def test_a_timeout_that_cannot_be_is_refused(seconds):
    with pytest.raises(
        UnknownNameError, match=r"policy timeout udp=.* is not between 0 and 1000000"
    ):
        Timeouts(udp=seconds)


def test_a_rule_of_a_pod_that_is_not_there_is_refused():
    with pytest.raises(UnknownNameError, match="names unknown pod 'pod9': use pod1, pod2"):
        Policy((Rule("pod9", "egress"),)).check(["pod2", "pod1"])
    IN_USE.check(["pod1"])


def test_rules_of_a_pod_are_those_of_its_own_and_of_every_pod():
    own, other, every = Rule("pod1", "egress"), Rule("pod2", "egress"), Rule("*", "egress", "deny")
    assert Policy((own, other, every)).of("pod1", "egress") == (own, every)
    assert Policy((own, other, every)).of("pod1", "ingress") == ()


def test_networks_are_named_once_and_in_order():
    named = ("fd00::/64", "10.0.2.0/24", "any", "10.0.1.0/24", "10.0.2.0/24", "10.0.1.0/25")
    rules = [Rule("pod1", "egress", network=network) for network in named]
    assert [str(n) for n in networks(rules)] == [
        "10.0.1.0/24", "10.0.1.0/25", "10.0.2.0/24", "fd00::/64",
    ]  # fmt: skip


def test_a_network_is_spoken_for_by_all_that_hold_it():
    rules = [("allow", "10.0.1.0/24", "udp"), ("deny", "10.0.1.10/32"), ("allow", "any", "tcp", 80)]
    assert said(*rules) == {(6, 80): "allow"}
    assert said(*rules, network=AROUND) == {(17, 0): "allow", (6, 80): "allow"}
    assert said(*rules, network=HOST) == {(17, 0): "deny", (0, 0): "deny", (6, 80): "deny"}
    assert said(*rules, network=ip_network("fd00::/64")) == {(6, 80): "allow"}


def test_a_denied_protocol_covers_its_ports():
    rules = [("deny", "any", "udp"), ("allow", "any", "udp", 53), ("allow", "any", "any")]
    assert said(*rules) == {(17, 0): "deny", (17, 53): "deny", (0, 0): "allow"}


def test_icmp_has_a_number_for_each_family():
    assert said(("allow", "any", "icmp")) == {(1, 0): "allow"}
    assert said(("allow", "any", "icmp"), family=Family.ipv6) == {(58, 0): "allow"}


def test_times_are_told_in_the_kernels_ticks():
    tick = time.clock_getres(6)
    assert bpf_flows.jiffies(0) == 0
    assert bpf_flows.jiffies(tick / 100) == 1
    assert bpf_flows.jiffies(10) == round(10 / tick)


def test_policy_is_a_requirement_of_programs_that_have_it():
    asked = NodeSettings(policy=Policy((Rule("pod1", "egress"),)))
    assert decide(frozenset(), asked, {}, frozenset({"policy"})).bpf
    lacking = decide(frozenset(), asked, {}, frozenset())
    assert lacking.reasons == ("policy is not built into these programs",)
    assert decide(frozenset(), NodeSettings(), {}, frozenset()).bpf


class _Pod:
    name, lxc = "pod1", "lxc1"


class _Node:
    pods = (_Pod(),)
    gateway = Addresses("10.0.1.1", "fd00:10:0:1::1")


def test_the_legacy_path_gets_the_same_rules():
    policy = Policy((Rule("pod1", "ingress", "allow", "10.0.2.0/24", "udp", 53),
                     Rule("pod1", "ingress", "deny", "fd00::/64")))  # fmt: skip
    ipv4, ipv6 = (policy_rules(_Node(), policy, family, first=True) for family in Family)
    assert "-A POLICY-pod1-ingress -s 10.0.2.0/24 -p 17 -m udp --dport 53 -j RETURN" in ipv4
    assert "-A POLICY-pod1-ingress -s fd00::/64 -j DROP" in ipv6
    assert "fd00::/64" not in ipv4
    for text in (ipv4, ipv6):
        assert text.index("--ctdir REPLY") < text.index("-A POLICY -o lxc1 -j POLICY-pod1-ingress")
        assert "-A POLICY-pod1-ingress -j DROP" in text
        assert "-I FORWARD 1 -j POLICY" in text
        assert "POLICY -i lxc1" not in text
