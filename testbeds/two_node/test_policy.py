# SPDX-License-Identifier: Apache-2.0
"""Policy on two nodes: off the wire, errors from anybody, and what goes round the programs."""

from collections.abc import Callable

import pytest
from scapy.layers.inet import ICMP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6ExtHdrHopByHop,
    RouterAlert,
)
from scapy.layers.l2 import Dot1Q
from scapy.packet import Packet, Raw

from harness.datapath import Policy
from harness.plugin.building import BuildTestbed
from testbeds.packets import echo, ip
from testbeds.policies import mute, policed, reach, reach_off_wire, selects, tapped
from testbeds.two_node.legs import DROPPED, TWO_NODES

pytestmark = pytest.mark.claims("policy")

#: pod1 asks pod2, whose node refuses; a netkit program would show nothing at lxc1.
REFUSED_FAR = {
    delivers: f"""
        {rows}
        master:enp0s8    > request
        node1:enp0s8     < request
    """
    for delivers, rows in DROPPED.items()
}


def test_hr49_policy_without_a_rule_changes_nothing(build_testbed: BuildTestbed, datapath, family):
    testbed = policed(build_testbed, "two_node", datapath, family)
    with testbed.capture() as seen:
        exchange = testbed.pod1.ping(testbed.pod2)
    assert exchange.lost == 0, "lost"
    assert seen.legs() == TWO_NODES[datapath.claims.off_wire]
    assert [frame.ttl for frame in seen.at("pod2:eth0", "request", "in")] == [62], "TTL at pod2"


def test_hr34_ingress_is_denied_off_the_wire(build_testbed: BuildTestbed, datapath, family):
    testbed = policed(build_testbed, "two_node", datapath, family, selects("pod2", "ingress"))
    before = testbed.datapath_of("node1").installed.counters()
    with testbed.capture() as seen:
        exchange = testbed.pod1.ping(testbed.pod2)
    counted = testbed.datapath_of("node1").installed.counters() - before
    assert seen.legs() == REFUSED_FAR[datapath.claims.delivers]
    assert exchange.errors == [], "errors"
    if datapath.claims.counts:
        assert counted.drops == {"policy-ingress": 1}, "drops"
        assert counted.hits == {("from-netdev", "drop"): 1}, "hits"


def test_hr35_egress_is_denied_before_anything_is_resolved(
    build_testbed: BuildTestbed, datapath, family
):
    testbed = policed(build_testbed, "two_node", datapath, family, selects("pod1", "egress"))
    testbed.master.delete_neighbour("enp0s8", testbed.node1.address)
    with testbed.capture() as seen:
        exchange = testbed.pod1.ping(testbed.pod2)
    assert seen.legs() == DROPPED[datapath.claims.delivers]
    assert exchange.errors == [], "errors"


def test_hr51_replies_off_the_wire(build_testbed: BuildTestbed, datapath, family):
    testbed = policed(build_testbed, "two_node", datapath, family,
                      selects("pod1", "ingress"), selects("pod2", "egress"))  # fmt: skip
    pod, other = testbed.pod1, testbed.pod2
    assert (pod.ping(other).lost, pod.datagrams(other).lost) == (0, 0), "lost"
    assert pod.stream(other, 50_000).received == 50_000, "received"
    assert other.ping(pod).lost == 1, "begun elsewhere"


#: Errors that routers send: type of the message by family.
ERRORS: dict[str, dict[int, Callable[[], Packet]]] = {
    "too big": {
        4: lambda: ICMP(type=3, code=4, nexthopmtu=1400), 6: lambda: ICMPv6PacketTooBig(mtu=1400),
    },
    "time exceeded": {4: lambda: ICMP(type=11), 6: ICMPv6TimeExceeded},
}  # fmt: skip
ROUTER = {4: "203.0.113.9", 6: "2001:db8:113::9"}


def test_hr52_errors_from_a_router_on_the_way(build_testbed: BuildTestbed, datapath, family):
    testbed = policed(build_testbed, "two_node", datapath, family,
                      selects("pod1", "ingress"), selects("pod2", "ingress"),
                      pods_per_node=2)  # fmt: skip
    pod, other, far = testbed.pod1, testbed.pod2, testbed.pod3
    assert pod.node.name == other.node.name != far.node.name, "nodes"
    mute(pod)
    mute(other)
    mute(far)
    header = ip(family, pod.address, far.address)
    live = {"udp": header / UDP(sport=4000, dport=5000), "echo": header / echo(family, 4000)}
    none = header / UDP(sport=4001, dport=5000)
    with tapped(pod) as at_pod, tapped(other) as at_other, tapped(far) as at_far:
        asked = reach(pod, at_far, live)

        def told(tap, receiver, quoted):
            errors = {
                f"{kind} about {name}": ip(family, ROUTER[family], receiver.address)
                / layers[family]() / Raw(bytes(packet / b"12345678"))
                for kind, layers in ERRORS.items()
                for name, packet in quoted.items()
            }  # fmt: skip
            found = reach_off_wire(testbed.node1, testbed.master, tap, errors)
            return found, list(errors)

        related, every = told(at_pod, pod, live)
        unrelated, _ = told(at_pod, pod, {"none": none})
        strangers, _ = told(at_other, other, live)
    assert asked == ["udp", "echo"], "asked"
    assert related == every, "about a live flow"
    assert unrelated == [], "about none"
    assert strangers == [], "about another pod's flow"


def _alert(family, source, destination):
    """A packet that every router is to look at, which is why programs leave it to the stack."""
    if family == 4:
        return ip(family, source, destination, options=[IPOption_Router_Alert()])
    return ip(family, source, destination) / IPv6ExtHdrHopByHop(options=[RouterAlert(value=0)])


def test_hr55_no_way_round_policy(build_testbed: BuildTestbed, datapath, family):
    testbed = policed(build_testbed, "two_node", datapath, family)
    pod, other, master, node1 = testbed.pod1, testbed.pod2, testbed.master, testbed.node1
    mute(pod)
    mute(other)
    plain = ip(family, pod.address, other.address) / UDP(sport=4000, dport=5000)
    packets = {
        "alert": _alert(family, pod.address, other.address) / UDP(sport=4001, dport=5000),
        "plain": plain,
    }
    with tapped(other) as tap:
        opened = reach_off_wire(master, node1, tap, packets)
        testbed.enforce(Policy((selects("pod2", "ingress"),)))
        before = testbed.datapath_of("node1").installed.counters()
        denied = reach_off_wire(master, node1, tap, packets)
        counted = testbed.datapath_of("node1").installed.counters() - before
        denied += reach_off_wire(master, node1, tap, {"tagged": Dot1Q(vlan=7) / plain})
        denied += reach_off_wire(master, node1, tap, {"broadcast": plain}, "ff:ff:ff:ff:ff:ff")
        testbed.enforce(Policy((selects("pod1", "egress"),)))
        sent = reach(pod, tap, packets)
    assert opened == ["alert", "plain"], "open"
    assert denied == [], "denied"
    assert sent == [], "egress denied"
    if datapath.claims.counts:
        assert counted.hits == {
            ("from-netdev", "drop"): 1, ("from-netdev", "stack"): 1, ("to-container", "drop"): 1,
        }, "hits"  # fmt: skip
