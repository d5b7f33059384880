# SPDX-License-Identifier: Apache-2.0
"""The MTU's border: what fits passes, what does not is told or fragmented; big streams pass."""

import pytest

from harness.plugin.building import BuildTestbed
from harness.testbed import Testbed
from harness.topology import Family
from harness.traffic.headers import TCP
from testbeds.fields import packet
from testbeds.packets import framed, probe
from testbeds.two_node.legs import REFUSED, REFUSED_FAR, TWO_NODES

MTU = 1400
HEADERS = {4: 28, 6: 48}  # IP and ICMP echo, or UDP
ETHERNET = 14
TOO_BIG = {4: (3, 4), 6: (2, 0)}
narrow_wire = pytest.mark.topology(wire_mtu=MTU)


@narrow_wire
@pytest.mark.parametrize("size", [MTU - 1, MTU])
def test_hr30_up_to_the_mtu_passes(two_node: Testbed, datapath, family, size):
    with two_node.evidence() as evidence, two_node.capture() as seen:
        exchange = two_node.pod1.ping(two_node.pod2, size=size - HEADERS[family], df=True)
        datagram = two_node.pod1.datagrams(two_node.pod2, size=size - HEADERS[family], df=True)
    assert (exchange.lost, datagram.lost) == (0, 0), "lost"
    assert seen.legs() == TWO_NODES[datapath.claims.off_wire]
    forwarded = 0 if datapath.claims.bypasses_stack else 4
    assert evidence.nodes["master"].hooks["forward"] == forwarded, "forward hook"


@narrow_wire
@pytest.mark.claims("too_big")
@pytest.mark.parametrize("size", [MTU + 1, MTU + 4, 1500])
def test_hr30_beyond_the_mtu_is_told(two_node: Testbed, datapath, family, size, hr_observed):
    with two_node.evidence() as evidence, two_node.capture() as seen:
        exchange = two_node.pod1.ping(two_node.pod2, size=size - HEADERS[family], df=True)
        probe(two_node.pod1, two_node.pod2.address, size=size)
    for result, lookups in evidence.nodes["master"].programs.fib.items():
        hr_observed(f"lookup {result}", lookups)  # by the route's mtu from 5.12 on
    assert [(e.type, e.code, e.mtu) for e in exchange.errors] == [(*TOO_BIG[family], MTU)], "errors"
    assert seen.legs() == REFUSED


@pytest.mark.claims("fragments", family=Family.ipv4)
def test_hr31_fragments_arrive_whole(build_testbed: BuildTestbed, datapath):
    testbed = build_testbed("two_node", datapath, Family.ipv4, {"wire_mtu": MTU})
    with testbed.capture() as seen:
        exchange = testbed.pod1.ping(testbed.pod2, 3, size=MTU + 1 - HEADERS[4])
        datagrams = testbed.pod1.datagrams(testbed.pod2, 3, size=MTU + 1 - HEADERS[4])
    assert (exchange.lost, datagrams.lost) == (0, 0), "lost"
    assert len(seen.at("master:enp0s8", "fragment", "out")) == 12, "fragments"
    pod, target = testbed.pod1, testbed.pod2
    fields = {"tos": 0xB9, "id": 0xBEEF, "ttl": 64}
    ends = pod.address, target.address
    content = packet(Family.ipv4, ends, "datagram", bytes(MTU), fields=fields)
    with testbed.capture() as cut:
        pod.inject("eth0", [framed(pod.mac, pod.lxc_mac, content)])
    whole = [f for f in cut.frames if (f.interface, f.direction) == ("pod2:eth0", "in")]
    headers = [(f.raw[15], f.raw[18:20], f.ttl) for f in whole]
    arrived = (0xB9, b"\xbe\xef", 64 - (2 if datapath.claims.decrements_ttl else 0))
    assert headers == [arrived] * 2, "fragments' headers"


@pytest.mark.claims("too_big", family=Family.ipv6)
def test_hr31_the_sender_fragments_ipv6(build_testbed: BuildTestbed, datapath):
    """No router fragments IPv6: request 1 is refused, then reply 2; what comes after is cut."""
    testbed = build_testbed("two_node", datapath, Family.ipv6, {"wire_mtu": MTU})
    with testbed.capture() as seen:
        exchange = testbed.pod1.ping(testbed.pod2, 3, size=MTU + 1 - HEADERS[6])
    assert [(e.type, e.code, e.mtu) for e in exchange.errors] == [(2, 0, MTU)], "errors"
    assert exchange.replies == [3], "replies"
    assert len(seen.at("master:enp0s8", "fragment", "out")) == 4, "fragments of what was cut"


def test_hr33_gso_stream_arrives_intact(two_node: Testbed, datapath, family, hr_observed):
    with two_node.evidence() as evidence, two_node.capture() as seen:
        transfer = two_node.pod1.stream(two_node.pod2, 4_000_000)
    assert transfer.received_sha256 == transfer.sent_sha256, "stream intact"
    assert (transfer.sent, transfer.received) == (4_000_000, 4_000_000), "bytes"
    largest = {
        place: max((frame.length for frame in seen.at(place, "request", "out")), default=0)
        for place in ("pod1:eth0", "master:enp0s8")
    }
    # What leaves the pod is its own doing: were it cut there already, the stream would prove
    # nothing. A datapath may cut it later, and an intact stream is all that it owes.
    assert largest["pod1:eth0"] > 2 * 1500, "the pod sends more than a segment at once"
    assert largest["master:enp0s8"] > 0, "on the wire"
    hr_observed("segmented late", largest["master:enp0s8"] > 2 * 1500)
    for node in ("master", "node1"):
        if datapath.claims.bypasses_stack:  # all of it in BPF: the stack too would carry it intact
            assert evidence.nodes[node].hooks["forward"] == 0, "forward hook"
        programs = evidence.nodes[node].programs
        assert programs.fib.get("frag-needed", 0) == 0, "frag-needed lookups"
        assert programs.drops == {}, "drops"
        assert programs.hits.get(("from-container", "stack"), 0) == 0, "left to the stack"


@narrow_wire
@pytest.mark.claims("too_big")
def test_hr30_stream_fits_a_narrow_path(two_node: Testbed, datapath, family, hr_observed):
    for node in (two_node.master, two_node.node1):  # segments are cut before a tap sees them
        node.host.offloads_off("enp0s8")
    with two_node.evidence() as evidence, two_node.capture() as seen:
        transfer = two_node.pod1.stream(two_node.pod2, 200_000)
    assert transfer.received_sha256 == transfer.sent_sha256, "stream intact"
    sent, arrived = seen.at("pod1:eth0", "request"), seen.at("node1:enp0s8", "request")
    with_options = [
        frame
        for frame in arrived
        if isinstance(tcp := frame.headers.transport, TCP) and tcp.flags >> 12 > 5  # words
    ]
    assert max(frame.length for frame in with_options) == ETHERNET + MTU, "largest on the wire"
    hr_observed("the pod sends segments at once", max(frame.length for frame in sent) > 2 * MTU)
    if datapath.claims.bypasses_stack:  # but for what it answers, which the hook never sees
        assert evidence.nodes["master"].hooks["forward"] == 0, "forward hook"


@pytest.mark.claims("too_big")
def test_hr30_beyond_a_far_pods_own_mtu(two_node: Testbed, datapath, family):
    pod, size = two_node.pod2, MTU + 1 - HEADERS[family]
    for host, device in ((two_node.node1, pod.lxc), (pod, "eth0")):
        host.ns.netlink.link("set", index=host.ifindex(device), mtu=MTU)
    two_node.datapath_of("node1").installed.sync()
    if family == 4 and datapath.claims.fragments:  # before an error tells the sender
        assert two_node.pod1.datagrams(pod, 2, size=size).lost == 0, "lost"
    with two_node.capture() as seen:
        exchange = two_node.pod1.ping(pod, size=size, df=True)
        probe(two_node.pod1, pod.address, size=MTU + 1)
    assert [(e.type, e.code, e.mtu) for e in exchange.errors] == [(*TOO_BIG[family], MTU)], "errors"
    assert seen.legs() == REFUSED_FAR[datapath.claims.off_wire]
