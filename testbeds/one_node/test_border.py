# SPDX-License-Identifier: Apache-2.0
"""What crosses the namespace border with a packet, and what the interfaces count."""

from harness.datapath.features import release
from harness.testbed import Testbed

PINGS = 5
MARK = 0x77
TSTAMP = 1_234_567_890


def test_hr37_mark_and_tstamp_across_the_border(
    one_node: Testbed, datapath, family, metadata, observed
):
    metadata.write_at(one_node.master, "lxc1", MARK, TSTAMP)
    metadata.read_at(one_node.pod2)
    exchange = one_node.pod1.ping(one_node.pod2)
    seen = metadata.seen()
    observed("mark", seen["mark"])
    observed("tstamp kept", seen["tstamp"] == TSTAMP)
    observed("pkt_type", seen["pkt_type"])
    lxc1, eth0 = one_node.master.ifindex("lxc1"), one_node.pod2.ifindex("eth0")
    devices = {lxc1: "lxc1", eth0: "eth0"}  # skb_iif; cleared by the scrub of c43272299488
    observed("ingress_ifindex", devices.get(seen["ingress_ifindex"], seen["ingress_ifindex"]))
    assert exchange.lost == 0
    assert seen["packets"] == 1
    # redirect_peer keeps mark and timestamp (uapi/linux/bpf.h says so since 6.15); veth scrubs the
    # mark, as skb_scrub_packet() does whenever a packet changes its namespace, and sending clears
    # a timestamp that is no delivery time. What arrives then is 0, or, while anybody on this
    # machine captures in whatever namespace, the time of arrival (net_enable_timestamp()).
    kept = datapath.name in ("bpf", "bpf-skip-fib")
    assert seen["mark"] == (MARK if kept else 0)
    assert (seen["tstamp"] == TSTAMP) == kept
    assert seen["pkt_type"] == 0  # PACKET_HOST


def test_hr38_interface_counters(one_node: Testbed, datapath, family, observed):
    with one_node.evidence() as evidence:
        exchange = one_node.pod1.ping(one_node.pod2, PINGS)
    assert exchange.lost == 0
    for link, counter in (("pod2:eth0", "rx_packets"), ("master:lxc2", "tx_packets")):
        observed(f"{link} {counter}", evidence.links[link, counter])
    through_lxc = datapath.name in ("legacy", "bpf-redirect")
    assert evidence.links["master:lxc2", "tx_packets"] == (PINGS if through_lxc else 0)
    received = evidence.links["pod2:eth0", "rx_packets"]
    if through_lxc or release() >= (6, 7):  # 024ee930cb3c counts on redirect_peer
        assert received == PINGS
    else:
        assert received in (0, PINGS)
