# SPDX-License-Identifier: Apache-2.0
"""What crosses the namespace border with a packet, and what the interfaces count."""

from harness.datapath.features import release
from harness.testbed import Testbed

PINGS = 5
MARK, PRIORITY = 0x77, 5
TSTAMP = 1_234_567_890


def test_hr37_mark_and_tstamp_across_the_border(
    one_node: Testbed, datapath, family, metadata, hr_observed
):
    metadata.read_at(one_node.pod2)
    assert one_node.pod1.ping(one_node.pod2).lost == 0, "lost when not set"
    unset = metadata.seen()
    assert (unset["packets"], unset["mark"], unset["priority"]) == (1, 0, 0), "not set"
    metadata.read_anew()
    metadata.write_at(one_node.master, "lxc1", MARK, TSTAMP, PRIORITY)
    exchange = one_node.pod1.ping(one_node.pod2)
    seen = metadata.seen()
    hr_observed("mark", seen["mark"])
    hr_observed("tstamp kept", seen["tstamp"] == TSTAMP)
    hr_observed("pkt_type", seen["pkt_type"])
    lxc1, eth0 = one_node.master.ifindex("lxc1"), one_node.pod2.ifindex("eth0")
    devices = {lxc1: "lxc1", eth0: "eth0"}  # skb_iif; cleared by the scrub of c43272299488
    hr_observed("ingress_ifindex", devices.get(seen["ingress_ifindex"], seen["ingress_ifindex"]))
    assert exchange.lost == 0, "lost"
    assert seen["packets"] == 1, "packets read"
    # redirect_peer keeps mark and timestamp (uapi/linux/bpf.h says so since 6.15); veth scrubs the
    # mark, as skb_scrub_packet() does whenever a packet changes its namespace, and sending clears
    # a timestamp that is no delivery time. What arrives then is 0, or, while anybody on this
    # machine captures in whatever namespace, the time of arrival (net_enable_timestamp()).
    assert seen["mark"] == (MARK if datapath.claims.keeps_mark else 0), "mark"
    # veth clears the priority, too (____dev_forward_skb(), include/linux/netdevice.h).
    assert seen["priority"] == (PRIORITY if datapath.claims.keeps_mark else 0), "priority"
    assert (seen["tstamp"] == TSTAMP) == datapath.claims.keeps_tstamp, "tstamp"
    assert seen["pkt_type"] == 0, "pkt_type"  # PACKET_HOST


def test_hr38_interface_counters(one_node: Testbed, datapath, family, hr_observed):
    with one_node.evidence() as evidence:
        exchange = one_node.pod1.ping(one_node.pod2, PINGS)
    assert exchange.lost == 0, "lost"
    for link, counter in (("pod2:eth0", "rx_packets"), ("master:lxc2", "tx_packets")):
        hr_observed(f"{link} {counter}", evidence.links[link, counter])
    through_lxc = datapath.claims.delivers != "peer"
    sent = evidence.links["master:lxc2", "tx_packets"]
    assert sent == (PINGS if through_lxc else 0), "lxc's tx_packets"
    received = evidence.links["pod2:eth0", "rx_packets"]
    if through_lxc or release() >= (6, 7):  # 024ee930cb3c counts on redirect_peer
        assert received == PINGS, "rx_packets"
    else:
        assert received in (0, PINGS), "rx_packets before 6.7"
