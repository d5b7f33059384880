# SPDX-License-Identifier: Apache-2.0
"""Many packets, and many next hops: what holds for one holds for each."""

from ipaddress import ip_address

from scapy.layers.inet import UDP

from harness.testbed import Testbed
from harness.watch.evidence import HOOKS
from testbeds.packets import from_pod, ip

PACKETS = 10_000


def test_hr12_ten_thousand_packets(two_node: Testbed, datapath, family):
    """Counted, not captured: each crosses the wire once, and not one of them enters a stack."""
    with two_node.evidence() as evidence:
        exchange = two_node.pod1.ping(two_node.pod2, PACKETS)
    assert exchange.lost == 0, "lost"
    crossed = {
        (interface, counter): evidence.links[interface, counter]
        for interface in ("master:enp0s8", "node1:enp0s8")
        for counter in ("tx_packets", "rx_packets")
    }
    assert crossed == dict.fromkeys(crossed, PACKETS), "packets on the wire"
    stack = dict.fromkeys(HOOKS, 0 if datapath.claims.bypasses_stack else 2 * PACKETS)
    assert [evidence.nodes[name].hooks for name in ("master", "node1")] == [stack, stack], "hooks"


NUMBER = 100
#: The first of as many destinations, and of their next hops, one each.
FIRST = {4: ("203.0.113.1", "192.168.56.101"), 6: ("2001:db8:f::1", "fd00:56::101")}


def test_hr15_a_hundred_next_hops(two_node: Testbed, datapath, family):
    """Twice round: the first packet of a next hop goes through the neighbour layer."""
    master, pod = two_node.master, two_node.pod1
    first, nexthop = (int(ip_address(text)) for text in FIRST[family])
    macs = {str(ip_address(first + n)): f"02:00:01:00:01:{n:02x}" for n in range(NUMBER)}
    with master.host.together():
        for n, (address, mac) in enumerate(macs.items()):
            router = str(ip_address(nexthop + n))
            master.add_neighbour("enp0s8", router, mac)
            master.add_route(f"{address}/{family.host_prefix}", dev="enp0s8", gateway=router)
    sent = [*macs, *macs]
    packets = [ip(family, pod.address, address) / UDP(sport=4000, dport=4001) for address in sent]
    with two_node.evidence() as evidence, two_node.capture() as seen:
        pod.inject("eth0", [from_pod(pod, packet / b"one of many") for packet in packets])
    frames = [
        (frame.headers.ip.destination, frame.destination_mac)
        for frame in seen.frames
        if (frame.interface, frame.direction) == ("master:enp0s8", "out") and frame.headers.ip
    ]
    assert frames == [(address, macs[address]) for address in sent], "MACs"
    stack = 0 if datapath.claims.bypasses_stack else len(sent)
    assert evidence.nodes["master"].hooks["forward"] == stack, "forward hook"
