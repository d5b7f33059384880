# SPDX-License-Identifier: Apache-2.0
"""What a number depends on besides datapath and machine: sysctls, MTUs, offloads."""

from __future__ import annotations

from contextlib import closing

from pyroute2.ethtool.ioctl import IoctlEthtool

from harness.results.comparison import HostFacts, Interface
from harness.results.provenance import read_sysctls
from harness.topology import Host, Network

# Under /proc/sys/net, as each namespace has its own.
_SYSCTLS = (
    "core/rmem_max", "core/wmem_max", "ipv4/ip_forward", "ipv4/conf/all/rp_filter",
    "ipv4/tcp_congestion_control", "ipv4/tcp_rmem", "ipv4/tcp_wmem", "ipv4/tcp_timestamps",
    "ipv6/conf/all/forwarding", "netfilter/nf_conntrack_max", "netfilter/nf_conntrack_buckets",
)  # fmt: skip


def network_facts(network: Network) -> dict[str, HostFacts]:
    """Host → its sysctls, and its interfaces with MTU, qdisc and the offloads that are on."""
    facts: dict[str, HostFacts] = {}
    for host in network.hosts:
        with host.ns:
            sysctls = read_sysctls(_SYSCTLS)
        facts[host.name] = HostFacts(sysctls=sysctls, interfaces=_interfaces(host))
    return facts


def _interfaces(host: Host) -> dict[str, Interface]:
    links = {link.get_attr("IFLA_IFNAME"): link for link in host.ns.netlink.get_links()}
    return {
        name: Interface(
            mtu=links[name].get_attr("IFLA_MTU"),
            qdisc=links[name].get_attr("IFLA_QDISC"),
            offloads=_offloads(host, name),
        )
        for name in host.macs
    }


def _offloads(host: Host, ifname: str) -> list[str]:
    """Names of the features that are on, as `ethtool -k` has them in the kernel's spelling."""
    with host.ns, closing(IoctlEthtool(ifname)) as ethtool:
        return sorted(name for name, active, *_ in ethtool.get_features() if active)
