# SPDX-License-Identifier: Apache-2.0
"""The legacy path is what it says: a node's rules, both families, connections tracked by them.

Every claim that something bypasses the stack, and every comparison, is made against it.
"""

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.inet6 import ICMPv6EchoReply

from harness.datapath import NodeSettings
from harness.plugin.building import BuildTestbed
from harness.testbed import Testbed
from testbeds.packets import from_pod, ip

pytestmark = pytest.mark.datapaths("legacy")

SAVE = {4: "iptables-save", 6: "ip6tables-save"}
#: Rules of every node, and of each service: KUBE-SERVICES, two of KUBE-SVC, and of its two
#: endpoints a choice, a mark for hairpins and a DNAT each; see harness/datapath/kube_proxy.py.
OF_A_NODE, OF_A_SERVICE = 13, 8
INVALID = "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP"


@pytest.mark.parametrize("services", [0, 100])
def test_hr03_rules_in_the_namespace(build_testbed: BuildTestbed, datapath, family, services):
    settings = NodeSettings(legacy_services=services)
    testbed = build_testbed("one_node", datapath, family, settings=settings)
    listed = testbed.master.ns.run([SAVE[family]]).splitlines()
    rules = [line for line in listed if line.startswith("-A ")]
    assert len(rules) == OF_A_NODE + OF_A_SERVICE * services, "rules"
    assert INVALID in rules, "rule for INVALID"


def test_hr03_tracks_by_its_own_rules(one_node: Testbed, datapath, family):
    with one_node.evidence(track=False) as evidence:
        exchange = one_node.pod1.datagrams(one_node.pod2)
    entries = [(entry.source, entry.destination) for entry in evidence.nodes["master"].conntrack]
    assert entries == [(exchange.flow.client, exchange.flow.server)], "conntrack"


#: An answer to what nobody asked, which conntrack calls INVALID.
UNASKED = {4: ICMP(type=0, id=7, seq=1), 6: ICMPv6EchoReply(id=7, seq=1)}


def test_hr03_invalid_is_dropped(one_node: Testbed, datapath, family):
    pod, target = one_node.pod1, one_node.pod2
    packet = ip(family, pod.address, target.address) / UNASKED[family] / b"unasked"
    with one_node.evidence(track=False) as evidence, one_node.capture() as seen:
        pod.inject("eth0", [from_pod(pod, packet)])
    assert evidence.nodes["master"].hooks["forward"] == 1, "forward hook"
    assert {frame.interface for frame in seen.frames} == {"pod1:eth0", "master:lxc1"}, "interfaces"
