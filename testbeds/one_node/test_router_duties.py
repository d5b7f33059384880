# SPDX-License-Identifier: Apache-2.0
"""What a router owes its hosts, on one node: errors, its own addresses, link scope, sources."""

import socket
import time

import pytest
from scapy.layers.inet import ICMP, TCP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrHopByHop,
    RouterAlert,
)

from harness.plugin.building import BuildTestbed
from harness.testbed import Testbed
from harness.topology import Family
from harness.traffic import headers
from harness.traffic.fence import pinned
from harness.watch.capture import WHOLE
from harness.watch.legs import LegTable
from testbeds import errors
from testbeds.one_node.legs import DROPPED, EXPIRED
from testbeds.packets import from_pod, ip

TIME_EXCEEDED = {4: (11, 0), 6: (3, 0)}
TOO_BIG = {4: (3, 4), 6: (2, 0)}
ETHERNET = 14
LAYERS = {"udp": UDP, "tcp": TCP}
HEADERS = {4: 28, 6: 48}  # IP and ICMP; of a quote, IP and 8 bytes
#: What a router begins with (RFC 1700, "IP TIME TO LIVE PARAMETER").
INITIAL_TTL = 64
#: A router's error is no longer than this (RFC 1812, 4.3.2.3; RFC 4443, 2.4(c)).
LONGEST_ERROR = {4: 576, 6: 1280}


def _expiring(pod, target):
    """The header of a packet whose TTL or hop limit the first router uses up."""
    return ip(pod.family, pod.address, target.address, ttl=1)


def _told(seen):
    """What pod1 is sent: the frames, and (type, code) of each, as they should be errors."""
    frames = [f for f in seen.frames if (f.interface, f.direction) == ("pod1:eth0", "in")]
    transports = [(frame, frame.headers.transport) for frame in frames]
    told = [
        (icmp.type, icmp.code) if isinstance(icmp, headers.ICMP) else str(frame)
        for frame, icmp in transports
    ]
    return frames, told


def _sources(frames):
    """Whose addresses they come from."""
    return {frame.headers.ip.source if frame.headers.ip else "" for frame in frames}


def _routers(testbed):
    """The addresses that pod1's node may send an error from: the gateway's, and its own."""
    return {testbed.master.gateway[testbed.family], testbed.master.address}


@pytest.mark.claims("time_exceeded")
@pytest.mark.parametrize("size", [0, 56, 1000, 1400])
def test_hr17_ttl_1_same_node(one_node: Testbed, datapath, family, size):
    with one_node.capture() as seen:
        exchange = one_node.pod1.ping(one_node.pod2, ttl=1, size=size)
    told = [(error.type, error.code, error.number) for error in exchange.errors]
    assert told == [(*TIME_EXCEEDED[family], 1)], "errors"
    assert seen.legs() == EXPIRED[datapath.claims.delivers]
    assert {error.source for error in exchange.errors} <= _routers(one_node), "error's source"
    (error,) = seen.at("pod1:eth0", "error", "in")
    assert error.ttl >= INITIAL_TTL, "error's TTL"
    whole = min(2 * HEADERS[family] + size, LONGEST_ERROR[family])
    least = whole if datapath.claims.quotes_in_full else 2 * HEADERS[family]
    assert least <= error.length - ETHERNET <= whole, "error's length"


@pytest.mark.claims("time_exceeded")
@pytest.mark.parametrize("layer", LAYERS)
def test_hr17_traceroute_is_answered(one_node: Testbed, datapath, family, layer):
    pod = one_node.pod1
    packet = _expiring(pod, one_node.pod2) / LAYERS[layer](sport=33434, dport=33434) / b"traceroute"
    with one_node.capture() as seen:
        pod.inject("eth0", [from_pod(pod, packet)])
    frames, told = _told(seen)
    assert told == [TIME_EXCEEDED[family]], "errors"
    assert _sources(frames) <= _routers(one_node), "error's source"


#: Three datagrams as one packet, which only a device that cannot cut it would cut.
SEGMENT, SEGMENTS = 100, 3
UDP_SEGMENT = 103  # uapi/linux/udp.h; socket has it since Python 3.14
HOPS = {4: (socket.IPPROTO_IP, socket.IP_TTL), 6: (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)}


@pytest.mark.claims("time_exceeded")
def test_hr17_expiring_gso_packet_is_answered_once(one_node: Testbed, datapath, family):
    pod = one_node.pod1
    with one_node.capture() as seen, pod.ns.socket(family.af, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(*HOPS[family], 1)
        sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, SEGMENT)
        sender.sendto(bytes(SEGMENT * SEGMENTS), (one_node.pod2.address, 4001))
    frames, told = _told(seen)
    assert told == [TIME_EXCEEDED[family]], "errors"
    whole = 2 * HEADERS[family] + SEGMENT * SEGMENTS
    least = whole if datapath.claims.quotes_in_full else 2 * HEADERS[family]
    assert least <= frames[0].length - ETHERNET <= whole, "error's length"


#: Errors of the pod's own, which a router may not answer with an error (RFC 1122, 3.2.2).
PODS_ERROR = {4: ICMP(type=3, code=3), 6: ICMPv6DestUnreach(code=4)}


def test_hr17_never_an_error_about_an_error(one_node: Testbed, datapath, family):
    pod = one_node.pod1
    quoted = bytes(_expiring(one_node.pod2, pod) / UDP(sport=1, dport=2) / b"quoted")
    packet = _expiring(pod, one_node.pod2) / PODS_ERROR[family] / quoted
    with one_node.capture() as seen:
        pod.inject("eth0", [from_pod(pod, packet)])
    dropped = DROPPED[datapath.claims.delivers]
    assert seen.legs() == dropped.replace("request", "other"), "sightings"


@pytest.mark.claims("time_exceeded", family=Family.ipv6)
def test_hr17_time_exceeded_behind_an_extension_header(build_testbed: BuildTestbed, datapath):
    testbed = build_testbed("one_node", datapath, Family.ipv6)
    pod = testbed.pod1
    packet = IPv6ExtHdrDestOpt() / UDP(sport=33434, dport=33434) / b"traceroute"
    with testbed.capture() as seen:
        pod.inject("eth0", [from_pod(pod, _expiring(pod, testbed.pod2) / packet)])
    _, told = _told(seen)
    assert told == [TIME_EXCEEDED[6]], "errors"


@pytest.mark.claims("options_to_stack")
def test_hr20_options_are_the_stacks(one_node: Testbed, datapath, family):
    testbed, pod, target = one_node, one_node.pod1, one_node.pod2
    alert = (
        ip(family, pod.address, target.address, options=[IPOption_Router_Alert()])
        if family == 4
        else ip(family, pod.address, target.address)
        / IPv6ExtHdrHopByHop(options=[RouterAlert(value=0)])
    )
    with testbed.evidence() as evidence, testbed.capture() as seen:
        pod.inject("eth0", [from_pod(pod, alert / UDP(sport=4000, dport=4001) / b"alert")])
    at_lxc2 = [frame.direction for frame in seen.frames if frame.interface == "master:lxc2"]
    assert at_lxc2[:1] == ["out"], "leaves through the lxc"
    # Nobody listens: the pod's own error comes back, on the stack through the same hook.
    forwarded = 1 if datapath.claims.bypasses_stack else 2
    assert evidence.nodes["master"].hooks["forward"] == forwarded, "forward hook"
    stack = evidence.nodes["master"].programs.hits.get(("from-container", "stack"), 0)
    assert stack == (1 if datapath.claims.counts else 0), "left to the stack"


#: What no router passes on: a header whose sum is wrong, or that speaks of more than there is.
MALFORMED = {4: [{"chksum": 0xBAD}, {"len": 500}, {"len": 19}], 6: [{"plen": 500}]}


@pytest.mark.claims("header_check")
def test_hr18_malformed_header_is_dropped(one_node: Testbed, datapath, family):
    pod, target = one_node.pod1, one_node.pod2
    frames = [
        from_pod(pod, ip(family, pod.address, target.address, **fault) / UDP() / b"malformed")
        for fault in MALFORMED[family]
    ]
    with one_node.evidence() as evidence, one_node.capture() as seen:
        pod.inject("eth0", frames)
    taps = LegTable.parse(DROPPED[datapath.claims.delivers]).interfaces()
    assert {frame.interface for frame in seen.frames} == set(taps), "interfaces"
    drops = evidence.nodes["master"].programs.drops
    assert drops == ({"malformed": len(frames)} if datapath.claims.counts else {}), "drops"


#: Of the bundled programs, in as many jiffies. The stack's own limit is switched off in testbeds.
ERRORS_AT_ONCE = 64
#: Seconds after which a router has surely an error to spare again.
REFILLED_IN = 10


@pytest.mark.claims("time_exceeded", "limits_errors")
def test_hr17_time_exceeded_is_limited(one_node: Testbed, datapath, family):
    frame = from_pod(one_node.pod1, _expiring(one_node.pod1, one_node.pod2) / b"expiring")
    with pinned():  # a limit may be each CPU's own
        with one_node.evidence() as evidence:
            one_node.pod1.inject("eth0", [frame] * 2000)
        deadline, again = time.monotonic() + REFILLED_IN, 0
        while not again and time.monotonic() < deadline:
            again = len(one_node.pod1.ping(one_node.pod2, ttl=1).errors)
    told = evidence.links["pod1:eth0", "rx_packets"]
    assert 0 < told < 2000, "errors"
    if datapath.claims.counts:
        programs = evidence.nodes["master"].programs
        answers = programs.hits.get(("from-container", "answer"), 0)
        assert ERRORS_AT_ONCE <= told == answers, "answers"
        assert programs.drops == {"ttl": 2000 - told}, "drops"
    assert again == 1, "errors when the budget is refilled"


def test_hr17_ttl_1_to_the_node_itself_is_answered(one_node: Testbed, datapath, family):
    assert one_node.pod1.ping(one_node.master, ttl=1).lost == 0, "lost"


def test_hr20_address_that_the_node_lost_is_looked_up_again(one_node: Testbed, datapath, family):
    master, address = one_node.master, {4: "192.0.2.200", 6: "2001:db8::c8"}[family]
    installed = one_node.datapath_of("master").installed
    master.add_address("lo", address, family.host_prefix)
    installed.sync()
    with one_node.evidence() as held:
        assert one_node.pod1.ping(address).lost == 0, "lost while held"
    master.delete_address("lo", address, family.host_prefix)
    installed.sync()
    with one_node.evidence() as gone:
        assert one_node.pod1.ping(address).lost == 1, "lost when gone"
    if datapath.claims.counts and datapath.claims.node_addresses == "lookup":
        lookups = [evidence.nodes["master"].programs.fib for evidence in (held, gone)]
        assert lookups == [{}, {"not-fwded": 1}], "lookups"


@pytest.mark.claims("too_big")
def test_hr30_beyond_a_pods_own_mtu(one_node: Testbed, datapath, family):
    master, mtu = one_node.master, 1400
    master.ns.netlink.link("set", index=master.ifindex("lxc2"), mtu=mtu)
    one_node.datapath_of("master").installed.sync()
    exchange = one_node.pod1.ping(one_node.pod2, size=mtu + 1 - HEADERS[family], df=True)
    assert [(e.type, e.code, e.mtu) for e in exchange.errors] == [(*TOO_BIG[family], mtu)], "errors"
    pod, dont_fragment = one_node.pod1, {4: {"flags": "DF"}, 6: {}}[family]
    packets = errors.refused(pod, one_node.pod2.address, (mtu, mtu + 1), (64,), dont_fragment)
    with one_node.capture(WHOLE) as seen:
        pod.inject("eth0", [each.frame for each in packets])
    pairs = list(errors.matched(packets, errors.errors(seen.frames, "pod1:eth0")))
    assert [each.name for each, _ in pairs] == [each.name for each in packets], "answered"
    faults = [f.checksum_faults() for _, f in pairs]
    assert not any(faults), "checksums"
    # Not as the datapath had changed it before it left it to the stack: its TTL above all.
    changed = [each.name for each, frame in pairs if not errors.begins(each, errors.quote(frame))]
    assert changed == [], "quotes"


@pytest.mark.claims("keeps_link_scope")
@pytest.mark.parametrize("destination", ["ff02::1", "ff05::1", "fe80::99"])
def test_hr23_link_local_and_multicast_are_not_routed(
    build_testbed: BuildTestbed, datapath, destination
):
    testbed = build_testbed("one_node", datapath, Family.ipv6)
    pod = testbed.pod1
    packet = IPv6(src=pod.address, dst=destination) / UDP(sport=4000, dport=4001) / b"link scope"
    with testbed.capture() as seen:
        pod.inject("eth0", [from_pod(pod, packet)])
    assert len(seen.at("master:lxc1", "other", "in")) == 1, "enters the node"
    assert {frame.interface for frame in seen.frames} == {"pod1:eth0", "master:lxc1"}, "interfaces"


@pytest.mark.claims("source_check")
@pytest.mark.parametrize("claimed", ["pod2", "stranger"])
def test_hr45_spoofed_source(one_node: Testbed, datapath, family, claimed):
    pod, victim = one_node.pod1, one_node.pod2
    stranger = {4: "10.0.1.99", 6: "fd00:10:0:1::99"}[family]
    source = victim.address if claimed == "pod2" else stranger
    packet = ip(family, source, victim.address) / UDP(sport=4000, dport=4001) / b"spoofed"
    with one_node.evidence() as evidence, one_node.capture() as seen:
        pod.inject("eth0", [from_pod(pod, packet)])
    assert seen.legs() == DROPPED[datapath.claims.delivers].replace("request", "other")
    drops = evidence.nodes["master"].programs.drops
    assert drops == ({"source": 1} if datapath.claims.counts else {}), "drops"
