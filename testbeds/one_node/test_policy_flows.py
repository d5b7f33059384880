# SPDX-License-Identifier: Apache-2.0
"""Policy on one node: errors and fragments of flows, how flows end, what is counted and built."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, IPv6, IPv6ExtHdrFragment
from scapy.packet import Raw

from harness.datapath import Policy, Rule, Timeouts
from harness.plugin.building import BuildTestbed
from testbeds.packets import echo, from_pod, ip
from testbeds.policies import mute, policed, reach, selects, tapped

pytestmark = pytest.mark.claims("policy")

UNREACHABLE = {4: lambda: ICMP(type=3, code=3), 6: lambda: ICMPv6DestUnreach(code=4)}


def _udp(sender, receiver, port=4000, to=5000):
    return ip(sender.family, sender.address, receiver.address) / UDP(sport=port, dport=to)


def _quoting(sender, receiver, quoted, source=""):
    """An ICMP error that quotes a packet."""
    header = ip(sender.family, source or sender.address, receiver.address)
    return header / UNREACHABLE[sender.family]() / Raw(bytes(quoted))


def test_hr52_a_pods_own_errors(build_testbed: BuildTestbed, datapath, family):
    testbed = policed(build_testbed, "one_node", datapath, family,
                      selects("pod1", "egress"), selects("pod2", "ingress"))  # fmt: skip
    pod, other = testbed.pod1, testbed.pod2
    mute(pod)
    mute(other)
    with tapped(pod) as at_pod, tapped(other) as at_other:
        asked = reach(other, at_pod, {"udp": _udp(other, pod)})
        errors = {
            "about a live flow": _quoting(pod, other, _udp(other, pod) / b"12345678"),
            "about none": _quoting(pod, other, _udp(other, pod, port=4001) / b"12345678"),
            "about its own": _quoting(pod, other, _udp(pod, other, 5000, 4000) / b"12345678"),
        }
        arrived = reach(pod, at_other, errors)
    assert asked == ["udp"], "asked"
    assert arrived == ["about a live flow"], "errors"


def _parts(sender, receiver, number, layer, name, first=24):
    """A packet of a transport in two fragments, which carry its name."""
    body = b"".join(f"<{name} {part}>".encode().ljust(16, b".") for part in range(2))
    whole = ip(sender.family, sender.address, receiver.address) / layer / Raw(body)
    bodies = bytes(whole)[-len(layer) - len(body) :]  # its checksum is right by now
    ends = {"src": sender.address, "dst": receiver.address}
    kind = whole[1].overload_fields[type(whole)]["proto" if sender.family == 4 else "nh"]
    tops: list[Any]
    if sender.family == 4:
        tops = [IP(**ends, id=number, proto=kind, flags=flags, frag=at)
                for flags, at in (("MF", 0), (0, first // 8))]  # fmt: skip
    else:
        tops = [IPv6(**ends) / IPv6ExtHdrFragment(nh=kind, id=number, m=more, offset=at)
                for more, at in ((1, 0), (0, first // 8))]  # fmt: skip
    return [tops[0] / Raw(bodies[:first]), tops[1] / Raw(bodies[first:])]


def test_hr53_fragments_follow_their_first(build_testbed: BuildTestbed, datapath, family):
    allowed = [Rule("pod2", "ingress", protocol=protocol, port=5000) for protocol in ("udp", "tcp")]
    testbed = policed(build_testbed, "one_node", datapath, family, *allowed)
    pod, other = testbed.pod1, testbed.pod2
    mute(other)
    installed: Any = testbed.datapath_of("master").installed
    parts = {
        name: _parts(pod, other, number, UDP(sport=4000, dport=to), name)
        for number, (name, to) in enumerate(
            [("allowed", 5000), ("denied", 5001), ("turned", 5000), ("strange", 5000)], 700
        )
    }
    tiny = _parts(pod, other, 710, TCP(sport=4000, dport=5000), "tiny", first=8)
    counted = {}
    with tapped(other) as tap:

        def arrived(name, *packets):
            before = installed.counters()
            pod.inject("eth0", [from_pod(pod, packet) for packet in packets])
            counted[name] = (installed.counters() - before).drops
            found = b"".join(tap.frames())
            return sorted(name.decode() for name in re.findall(rb"<(\w+ \d)>", found))

        in_order = arrived("in order", *parts["allowed"])
        refused = arrived("refused", *parts["denied"])
        alone = arrived("alone", parts["strange"][1], parts["denied"][1])
        hidden = arrived("hidden", *tiny)
        late = arrived("late", *reversed(parts["turned"]))
    assert in_order == ["allowed 0", "allowed 1"], "in order"
    assert (refused, alone) == ([], []), "without a first that passed"
    # conntrack puts it together; IPv6's parts must not be cut so (RFC 8200, 4.5)
    whole = not datapath.claims.bypasses_stack and family == 4
    assert (hidden != []) == whole, "first without its ports"
    if not datapath.claims.bypasses_stack:  # conntrack waits for the whole
        assert late == ["turned 0", "turned 1"], "turned round"
    if datapath.claims.counts:
        assert counted == {
            "in order": {},
            "refused": {"policy-ingress": 1, "fragment-unknown": 1},
            "alone": {"fragment-unknown": 2},
            "hidden": {"malformed": 1, "fragment-unknown": 1},
            "late": {"fragment-unknown": 1},
        }, "drops"


def _tcp(sender, receiver, flags, sport=4000, dport=5000):
    header = ip(sender.family, sender.address, receiver.address)
    return header / TCP(sport=sport, dport=dport, flags=flags, seq=1, ack=1)


#: A timeout of a few of the kernel's ticks.
BRIEF = 0.02
_COARSE = 6  # CLOCK_MONOTONIC_COARSE, which ticks as jiffies do


def _outlast(seconds):
    """Return when the kernel's ticks have moved on by more than that."""
    tick = time.clock_getres(_COARSE)
    end = time.clock_gettime(_COARSE) + seconds + 2 * tick
    while time.clock_gettime(_COARSE) < end:
        pass


@pytest.mark.claims(counts=True)
def test_hr57_a_flow_expires(build_testbed: BuildTestbed, datapath, family):
    testbed = policed(build_testbed, "one_node", datapath, family,
                      selects("pod1", "ingress"), timeouts=Timeouts(udp=BRIEF))  # fmt: skip
    pod, other = testbed.pod1, testbed.pod2
    mute(pod)
    mute(other)
    icmp = ip(family, pod.address, other.address) / echo(family, 4000)
    with tapped(pod) as at_pod, tapped(other) as at_other:
        asked = reach(pod, at_other, {"udp": _udp(pod, other), "echo": icmp})
        _outlast(BRIEF)
        answered = reach(other, at_pod, {"udp": _udp(other, pod, port=5000, to=4000)})
        testbed.enforce(Policy((selects("pod1", "ingress"),), Timeouts(udp=60)))
        kept = reach(pod, at_other, {"udp": _udp(pod, other)})
        answered_then = reach(other, at_pod, {"udp": _udp(other, pod, port=5000, to=4000)})
    assert asked == ["udp", "echo"], "asked"
    assert answered == [], "answered after expiry"
    assert (kept, answered_then) == (["udp"], ["udp"]), "answered in time"


#: How a connection of pod1 to pod2 ends: (whose packet, its flags).
ENDS = {
    "reset by the server": [("back", "R")],
    "reset by the client": [("there", "R")],
    "closed by both": [("there", "FA"), ("back", "FA")],
}


@pytest.mark.claims(counts=True)
@pytest.mark.parametrize("end", ENDS)
def test_hr57_a_connection_ends(build_testbed: BuildTestbed, datapath, family, end):
    testbed = policed(build_testbed, "one_node", datapath, family,
                      selects("pod1", "ingress"), timeouts=Timeouts(tcp_closing=BRIEF))  # fmt: skip
    pod, other = testbed.pod1, testbed.pod2
    mute(pod)
    mute(other)
    with tapped(pod) as at_pod, tapped(other) as at_other:

        def said(way, flags, port=4000):
            if way == "there":
                return reach(pod, at_other, {flags: _tcp(pod, other, flags, port)})
            return reach(other, at_pod, {flags: _tcp(other, pod, flags, 5000, port)})

        def opened(port):
            return [*said("there", "S", port), *said("back", "SA", port), *said("there", "A", port)]

        begun = opened(4000), opened(4001)
        ended = [found for way, flags in ENDS[end] for found in said(way, flags)]
        _outlast(BRIEF)
        after = said("back", "A")
        beside = said("back", "A", 4001)
        again = opened(4000)
    assert begun == (["S", "SA", "A"], ["S", "SA", "A"]), "begun"
    assert ended == [flags for _, flags in ENDS[end]], "ended"
    assert after == [], "after the end"
    assert beside == ["A"], "the connection beside it"
    assert again == ["S", "SA", "A"], "begun again"


@pytest.mark.claims(counts=True)
def test_hr57_half_closed_is_open_and_closing_answers(
    build_testbed: BuildTestbed, datapath, family
):
    testbed = policed(build_testbed, "one_node", datapath, family,
                      selects("pod1", "ingress"),
                      timeouts=Timeouts(tcp_syn=BRIEF, tcp_closing=BRIEF))  # fmt: skip
    pod, other = testbed.pod1, testbed.pod2
    mute(pod)
    mute(other)
    with tapped(pod) as at_pod, tapped(other) as at_other:
        syn = reach(pod, at_other, {"S": _tcp(pod, other, "S")})
        _outlast(BRIEF)
        unanswered = reach(other, at_pod, {"SA": _tcp(other, pod, "SA", 5000, 4000)})
        loose = reach(pod, at_other, {"A": _tcp(pod, other, "A"), "FA": _tcp(pod, other, "FA")})
        _outlast(BRIEF)
        testbed.enforce(Policy((selects("pod1", "ingress"),)))
        half = reach(other, at_pod, {"A": _tcp(other, pod, "A", 5000, 4000),
                                     "FA": _tcp(other, pod, "FA", 5000, 4000)})  # fmt: skip
        closing = reach(other, at_pod, {"A": _tcp(other, pod, "A", 5000, 4000),
                                        "S": _tcp(other, pod, "S", 5000, 4000)})  # fmt: skip
    assert (syn, unanswered) == (["S"], []), "unanswered SYN"
    assert (loose, half) == (["A", "FA"], ["A", "FA"]), "half closed"
    assert closing == ["A"], "closing"


_DEADLINE = 5.0


def _until(happened, again):
    """Do something again until it has led to something; whether it has, before the deadline."""
    end = time.monotonic() + _DEADLINE
    while not happened():
        if time.monotonic() > end:
            return False
        again()
    return True


@pytest.mark.claims(counts=True)
def test_hr57_traffic_renews_a_flow_and_heals_its_pair(
    build_testbed: BuildTestbed, datapath, family
):
    testbed = policed(build_testbed, "one_node", datapath, family,
                      selects("pod1", "ingress"), timeouts=Timeouts(icmp=2 * BRIEF))  # fmt: skip
    pod, other = testbed.pod1, testbed.pod2
    installed: Any = testbed.datapath_of("master").installed
    mute(pod)
    mute(other)
    with tapped(pod) as at_pod, tapped(other) as at_other:

        def ask():
            reach(pod, at_other, {"udp": _udp(pod, other)})

        def lifetimes():
            return {flow.reply: flow.expires for flow in installed.flows(family)}

        ask()
        born = lifetimes()
        renewed = _until(lambda: lifetimes()[False] > born[False], ask)
        together = lifetimes()
        installed.forget(family, reply=True)
        lost = lifetimes()
        healed = _until(lambda: True in lifetimes(), ask)
        answered = reach(other, at_pod, {"udp": _udp(other, pod, port=5000, to=4000)})
    assert renewed, "renewed"
    assert together[True] == together[False], "both of the pair"
    assert set(lost) == {False}, "evicted"
    assert healed, "healed"
    assert answered == ["udp"], "answered"


#: Reason → (rules, what pod1 sends to pod2).
DENIALS: dict[str, tuple[list[Rule], Callable[..., Any]]] = {
    "policy-egress": ([selects("pod1", "egress")], _udp),
    "policy-ingress": ([selects("pod2", "ingress")], _udp),
    "policy-deny-rule": ([Rule("pod2", "ingress", "deny")], _udp),
    "icmp-unrelated": (
        [selects("pod2", "ingress")],
        lambda pod, other: _quoting(pod, other, _udp(other, pod) / b"12345678"),
    ),
    "fragment-unknown": (
        [], lambda pod, other: _parts(
            pod, other, 800, UDP(sport=4000, dport=5000), "counted"
        )[1],
    ),
}  # fmt: skip


@pytest.mark.claims(counts=True)
def test_hr54_every_denial_is_counted_once(build_testbed: BuildTestbed, datapath, family):
    testbed = policed(build_testbed, "one_node", datapath, family)
    pod, other = testbed.pod1, testbed.pod2
    installed: Any = testbed.datapath_of("master").installed
    mute(other)
    counted = {}
    for reason, (rules, packet) in DENIALS.items():
        testbed.enforce(Policy(tuple(rules)))
        before = installed.counters()
        pod.inject("eth0", [from_pod(pod, packet(pod, other))])
        found = installed.counters() - before
        counted[reason] = (found.hits, found.drops)
    once = {("from-container", "drop"): 1}
    assert counted == {reason: (once, {reason: 1}) for reason in DENIALS}, "counted"
