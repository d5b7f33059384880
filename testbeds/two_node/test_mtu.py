# SPDX-License-Identifier: Apache-2.0
"""The MTU's border: what fits passes, what does not is told or fragmented; big streams pass."""

from typing import Any

import pytest

from harness.plugin.building import BuildTestbed
from harness.testbed import Testbed
from harness.topology import Family
from harness.traffic.headers import TCP
from testbeds.fields import packet
from testbeds.packets import framed, probe
from testbeds.policies import policed
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
    hops = 2 if datapath.claims.decrements_ttl else 64 - whole[0].ttl  # else anybody's guess
    headers = [(f.raw[15], f.raw[18:20], f.ttl) for f in whole]
    assert headers == [(0xB9, b"\xbe\xef", 64 - hops)] * 2, "fragments' headers"


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


@pytest.mark.topology(pods_per_node=2)
def test_hr30_beyond_the_mtu_of_a_pods_end_alone(two_node: Testbed, datapath, family):
    """Its other end, the lxc, takes more. No router knows, and veth drops what is too long.

    bpf_redirect_peer looks at no MTU since 5.12: who delivers by it may deliver such a packet.
    """
    pod = two_node.pod2
    pod.ns.netlink.link("set", index=pod.ifindex("eth0"), mtu=MTU)
    two_node.datapath_of("master").installed.sync()
    size = 1500 - HEADERS[family]
    with two_node.evidence() as evidence:
        lost = [
            sender.ping(pod, size=size, df=True).lost for sender in (two_node.pod1, two_node.pod3)
        ]
    if datapath.claims.delivers == "stack":
        assert lost == [1, 1], "lost"
    if datapath.claims.counts:
        hits = evidence.nodes["master"].programs.hits
        left = [hits.get((f"from-{place}", "stack"), 0) for place in ("container", "netdev")]
        assert left == [1, 1], "left to the stack"


#: What a packet may have, and what shows that it was not cut to 64 KiB.
GSO_MAX, BIG = 150_000, 70_000
#: So that a window holds several such packets: least, default and most bytes of a socket's buffer.
RESET = 1 << 4  # FLOW_RESET of bpf/flow.c
BUFFERS = "4096 4000000 8000000"
BIG_TCP = {4: "big-tcp-ipv4", 6: "big-tcp"}


@pytest.mark.claims("big_tcp")
@pytest.mark.topology(pods_per_node=2, gso_max=GSO_MAX)
@pytest.mark.parametrize("to", ["pod2", "pod3"])
def test_hr33_big_tcp_arrives_as_it_was_sent(
    two_node: Testbed, datapath, family, to, require_feature
):
    """IPv6 says of such a packet that it is a jumbogram, IPv4 that it has no length."""
    require_feature(BIG_TCP[family])
    for pod in (two_node.pod1, two_node.pod(int(to[3:]))):
        pod.ns.sysctls({"ipv4/tcp_rmem": BUFFERS, "ipv4/tcp_wmem": BUFFERS})
    with two_node.evidence() as evidence, two_node.capture() as seen:
        transfer = two_node.pod1.stream(two_node.pod(int(to[3:])), 3_000_000)
    assert transfer.received_sha256 == transfer.sent_sha256, "stream intact"
    assert seen.at("pod1:eth0", "error", "in") == [], "errors"
    arrived = max(frame.length for frame in seen.at(f"{to}:eth0", "request", "in"))
    assert arrived > BIG, "arrives uncut"
    forwarded = evidence.nodes["master"].hooks["forward"]
    assert not (datapath.claims.bypasses_stack and forwarded), "forward hook"


@pytest.mark.claims("policy", "big_tcp", counts=True)
def test_hr57_no_part_of_a_large_segment_is_a_reset(
    build_testbed: BuildTestbed, datapath, family, require_feature
):
    """Before the TCP of IPv6's jumbograms stands one more header: its flags lie further on."""
    require_feature(BIG_TCP[family])
    testbed = policed(build_testbed, "two_node", datapath, family, gso_max=GSO_MAX)
    installed: Any = testbed.datapath_of("master").installed
    for pod in (testbed.pod1, testbed.pod2):
        pod.ns.sysctls({"ipv4/tcp_rmem": BUFFERS, "ipv4/tcp_wmem": BUFFERS})
    sent = testbed.pod1.stream(testbed.pod2, 3_000_000)
    states = [leaf.state.tcp for leaf in installed.module.table(f"flows{family.value}").values()]
    assert sent.received_sha256 == sent.sent_sha256, "stream intact"
    assert len(states) == 2, "flow"
    assert not any(tcp & RESET for tcp in states), "reset"
