# SPDX-License-Identifier: Apache-2.0
"""Packets and bytes an interface counted. Floor 5."""

from __future__ import annotations

from harness.topology import Host


def read(host: Host) -> dict[str, dict[str, int]]:
    """Interface → counter → count: `rx_` and `tx_`, each of `packets`, `bytes`, `dropped`."""
    keys = ("rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_dropped", "tx_dropped")
    counters = {}
    for link in host.ns.netlink.get_links():
        name = link.get_attr("IFLA_IFNAME")
        if name in host.macs:
            stats = link.get_attr("IFLA_STATS64")
            counters[name] = {key: int(stats[key]) for key in keys}
    return counters
