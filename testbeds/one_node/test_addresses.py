# SPDX-License-Identifier: Apache-2.0
"""What a pod may send from: every address that it was given; on its own link, none."""

import socket

import pytest
from scapy.layers.inet import UDP
from scapy.layers.l2 import Ether

from harness.testbed import Testbed
from harness.traffic import Flow
from harness.traffic.flow import next_identity
from harness.traffic.headers import ICMP_PROTOCOL
from testbeds.one_node.legs import DROPPED, SAME_NODE
from testbeds.packets import echo, from_pod, ip

#: Beside the one that every pod has.
MORE = {
    4: [f"10.0.1.{number}" for number in range(100, 199)],
    6: [f"fd00:10:0:1::{number:x}" for number in range(0x100, 0x163)],
}


def _echo(family, pod, source, target):
    identity = next_identity()
    flow = Flow(family, ICMP_PROTOCOL[family], source, target, identity, identity, [1])
    return from_pod(pod, ip(family, source, target) / echo(family, identity)), flow


@pytest.mark.claims("several_addresses")
def test_hr45_every_address_of_a_pod_is_its_own(one_node: Testbed, datapath, family):
    one_node.assign("pod1", MORE[family])
    one_node.datapath_of("master").installed.sync()
    pod, target = one_node.pod1, one_node.pod2.address
    with one_node.capture() as seen:
        for source in (pod.address, *MORE[family]):
            frame, flow = _echo(family, pod, source, target)
            pod.inject("eth0", [frame], flow)
    assert seen.legs() == SAME_NODE[datapath.claims.delivers]


@pytest.mark.claims("several_addresses", "source_check")
def test_hr45_an_address_that_went_to_another_pod(one_node: Testbed, datapath, family):
    address = MORE[family][0]
    one_node.assign("pod1", [address])
    one_node.datapath_of("master").installed.sync()
    one_node.withdraw("pod1", address)
    one_node.assign("pod2", [address])
    one_node.datapath_of("master").installed.sync()
    assert one_node.pod2.ping(one_node.pod1, source=address).lost == 0, "lost"
    frame, _ = _echo(family, one_node.pod1, address, one_node.pod2.address)
    with one_node.capture() as seen:
        one_node.pod1.inject("eth0", [frame])
    assert seen.legs() == DROPPED[datapath.claims.delivers].replace("request", "other")


#: Who has no address that is routed asks from these; and whom.
ASKING = {4: ["0.0.0.0"], 6: ["::", "fe80::99"]}
EVERYBODY = {4: ("255.255.255.255", "ff:ff:ff:ff:ff:ff"), 6: ("ff02::1", "33:33:00:00:00:01")}
SERVER = {4: 67, 6: 547}  # RFC 2131, RFC 8415
DEADLINE = 5.0


def _heard(server, number):
    heard: list[str] = []
    try:
        while len(heard) < number:
            heard.append(server.recv(100).decode())
    except TimeoutError:
        pass
    return heard


@pytest.mark.claims("keeps_link_scope")
@pytest.mark.needs_macs
def test_hr45_a_pod_without_an_address_asks_for_one(one_node: Testbed, datapath, family):
    """As DHCP does. The node's stack hears it, and that is as far as it goes."""
    pod, (everybody, mac) = one_node.pod1, EVERYBODY[family]
    frames = [
        bytes(Ether(src=pod.mac, dst=mac) / ip(family, source, everybody)
              / UDP(sport=SERVER[family] + (1 if family == 4 else -1), dport=SERVER[family])
              / source.encode())
        for source in ASKING[family]
    ]  # fmt: skip
    with (
        one_node.master.ns.socket(family.af, socket.SOCK_DGRAM) as server,
        one_node.capture() as seen,
    ):
        server.settimeout(DEADLINE)
        server.bind(("", SERVER[family]))
        pod.inject("eth0", frames)
        heard = _heard(server, len(frames))
    assert heard == ASKING[family], "heard by the node"
    at = {frame.interface for frame in seen.frames}
    assert at == {"pod1:eth0", "master:lxc1"}, "interfaces"


@pytest.mark.claims("keeps_link_scope")
def test_hr45_nothing_is_forwarded_from_no_address(one_node: Testbed, datapath, family):
    pod, target = one_node.pod1, one_node.pod2
    nobody = {4: "0.0.0.0", 6: "::"}[family]
    packet = ip(family, nobody, target.address) / UDP(sport=4000, dport=4001) / b"from nobody"
    with one_node.capture() as seen:
        pod.inject("eth0", [from_pod(pod, packet)])
    assert seen.legs() == DROPPED[datapath.claims.delivers].replace("request", "other")
