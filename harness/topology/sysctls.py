# SPDX-License-Identifier: Apache-2.0
"""Sysctls that a namespace takes over from the machine and that can decide a verdict: one table.

A new namespace copies `ipv4/conf` from the machine's first one, and IPv6's where net.core.
devconf_inherit_init_net is 1; with 3 both come from the current one (devinet_init_net(),
addrconf_init_net()). TCP's buffers and congestion control come from the first one, too
(tcp_sk_init()), and each device's neighbour timers (neigh_parms_alloc()). All else below net/ a
namespace begins with as compiled in, or shares with the machine.

The values are the kernel's own defaults, but for those whose reason says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from harness.plumbing.netns import NetNS


class Pin(NamedTuple):
    """A sysctl's value, and why it is not left as it is found.

    Attributes:
        value: What is written.
        reason: What another value would change.
        everywhere: Whether every kernel from 5.10 on has it.
    """

    value: int | str
    reason: str
    everywhere: bool = True


_QUIET = "chosen: quiet; else frames that no test sent are captured"

#: Of `all`, `default` and `lo`, which copies `default` when the namespace is made.
CONF: dict[str, dict[str, Pin]] = {
    "ipv4": {
        "accept_local": Pin(0, "a packet from the node's own address is accepted"),
        "accept_redirects": Pin(1, "a pod follows, or ignores, a router's redirect"),
        "accept_source_route": Pin(0, "chosen: source routes are followed; default allows them"),
        "arp_accept": Pin(0, "gratuitous ARP makes a neighbour"),
        "arp_announce": Pin(0, "which address an ARP request names as its sender"),
        "arp_evict_nocarrier": Pin(1, "neighbours outlive a carrier that is lost", False),
        "arp_filter": Pin(0, "ARP is answered by the route back only"),
        "arp_ignore": Pin(0, "ARP for an address of another device goes unanswered"),
        "arp_notify": Pin(0, "a device that comes up, or changes its MAC, announces itself"),
        "bc_forwarding": Pin(0, "directed broadcasts are forwarded"),
        "bootp_relay": Pin(0, "packets from 0.0.0.0/8 are accepted"),
        "drop_gratuitous_arp": Pin(0, "a next hop that announces another MAC is not heard"),
        "drop_unicast_in_l2_multicast": Pin(0, "unicast in a multicast frame is dropped"),
        "ignore_routes_with_linkdown": Pin(0, "routes over a device without carrier are skipped"),
        "log_martians": Pin(0, "what is refused fills the kernel's log, which HR-44 must read"),
        "medium_id": Pin(0, "proxy ARP between devices"),
        "promote_secondaries": Pin(0, "which addresses go when one is deleted"),
        "proxy_arp": Pin(0, "the node answers ARP for what it routes to"),
        "proxy_arp_pvlan": Pin(0, "the same, out of the device that asks"),
        "route_localnet": Pin(0, "127.0.0.0/8 is routed: a spoofed source passes, HR-45"),
        "rp_filter": Pin(0, "packets are dropped by their source"),
        "secure_redirects": Pin(1, "which redirects a pod follows"),
        "send_redirects": Pin(0, _QUIET),
        "shared_media": Pin(1, "which redirects are sent and followed"),
        "src_valid_mark": Pin(0, "a mark takes part in the check of the source"),
        # Last: a change of `all` changes every device's, and accept_redirects of `all`.
        "forwarding": Pin(0, "a pod forwards; nodes are given 1"),
    },
    "ipv6": {
        "disable_ipv6": Pin(0, "there is no IPv6"),
        "accept_dad": Pin(0, _QUIET + ", and an address may not be used for a second"),
        "accept_ra": Pin(0, "chosen: advertisements change routes, MTU and hop limit"),
        "accept_redirects": Pin(1, "a pod follows, or ignores, a router's redirect"),
        "accept_source_route": Pin(0, "routing headers are followed"),
        "accept_untracked_na": Pin(0, "unsolicited advertisements make a neighbour", False),
        "autoconf": Pin(1, "addresses are made of advertisements"),
        "dad_transmits": Pin(1, "duplicates are looked for; accept_dad switches that off"),
        "drop_unicast_in_l2_multicast": Pin(0, "unicast in a multicast frame is dropped"),
        "drop_unsolicited_na": Pin(0, "a next hop that announces another MAC is not heard"),
        "force_forwarding": Pin(0, "a device forwards although it is told not to, HR-22", False),
        "force_mld_version": Pin(1, "chosen: MLDv1 reports leave while the testbed is built"),
        "force_tllao": Pin(0, "an option of unicast neighbour advertisements"),
        "hop_limit": Pin(64, "the hop limit that a pod sends with, HR-13"),
        "ignore_routes_with_linkdown": Pin(0, "routes over a device without carrier are skipped"),
        "ioam6_enabled": Pin(0, "a hop-by-hop option is written to", False),
        "keep_addr_on_down": Pin(0, "addresses outlive a device that goes down"),
        "mldv1_unsolicited_report_interval": Pin(1, "chosen: with force_mld_version"),
        "ndisc_evict_nocarrier": Pin(1, "neighbours outlive a carrier that is lost", False),
        "ndisc_notify": Pin(0, "a device that comes up, or changes its MAC, announces itself"),
        "ndisc_tclass": Pin(0, "the traffic class of neighbour discovery"),
        "optimistic_dad": Pin(0, "addresses are used before they are known to be free"),
        "proxy_ndp": Pin(0, "the node answers for its neighbours"),
        "router_solicitations": Pin(0, _QUIET),
        "rpl_seg_enabled": Pin(0, "RPL's source routing header is followed"),
        "seg6_enabled": Pin(0, "segment routing headers are followed"),
        "suppress_frag_ndisc": Pin(1, "fragmented neighbour discovery is heard"),
        "use_oif_addrs_only": Pin(0, "whose address an error comes from"),
        "use_tempaddr": Pin(0, "a pod sends from a temporary address"),
        "forwarding": Pin(0, "a pod forwards; nodes are given 1"),
    },
}  # fmt: skip

#: What of `conf` is left as it is found → why it can decide nothing.
INDIFFERENT: dict[str, dict[str, str]] = {
    "ipv4": {
        "disable_policy": "IPsec: a new namespace has no policies",
        "disable_xfrm": "IPsec: a new namespace has no policies",
        "force_igmp_version": "IGMP: no test joins a group that is reported",
        "igmpv2_unsolicited_report_interval": "IGMP",
        "igmpv3_unsolicited_report_interval": "IGMP",
        "mc_forwarding": "read only: a multicast routing daemon sets it",
        "tag": "the kernel uses it for nothing",
    },
    "ipv6": {
        **dict.fromkeys(
            (
                "accept_ra_defrtr", "accept_ra_from_local", "accept_ra_min_hop_limit",
                "accept_ra_min_lft", "accept_ra_mtu", "accept_ra_pinfo",
                "accept_ra_rt_info_max_plen", "accept_ra_rt_info_min_plen", "accept_ra_rtr_pref",
                "ra_defrtr_metric", "ra_honor_pio_life", "ra_honor_pio_pflag",
            ),
            "advertisements are not accepted",
        ),
        **dict.fromkeys(
            ("max_desync_factor", "regen_max_retry", "regen_min_advance", "temp_prefered_lft",
             "temp_valid_lft"),
            "no temporary addresses",
        ),
        **dict.fromkeys(
            ("router_probe_interval", "router_solicitation_delay", "router_solicitation_interval",
             "router_solicitation_max_interval"),
            "no router is solicited",
        ),
        "addr_gen_mode": "pinned for `default` and each device: `all` refuses it",
        "disable_policy": "IPsec: a new namespace has no policies",
        "enhanced_dad": "no DAD",
        "ioam6_id": "only with ioam6_enabled",
        "ioam6_id_wide": "only with ioam6_enabled",
        "max_addresses": "limits what autoconfiguration adds",
        "mc_forwarding": "read only: a multicast routing daemon sets it",
        "mldv2_unsolicited_report_interval": "MLDv1 is forced",
        "mtu": "a device's own is its MTU",
        "seg6_require_hmac": "only with seg6_enabled",
        "stable_secret": "makes link-local addresses, which addr_gen_mode forbids",
        "use_optimistic": "only with optimistic_dad",
    },
}  # fmt: skip

#: Of the namespace.
NAMESPACE: dict[str, Pin] = {
    "ipv6/conf/default/addr_gen_mode": Pin(1, "chosen: no link-local address"),
    "ipv4/ping_group_range": Pin("0 2147483647", "chosen: pings need no raw socket"),
    "ipv4/icmp_ratelimit": Pin(0, "chosen: an error that is rate-limited looks like a lost one"),
    "ipv6/icmp/ratelimit": Pin(0, "chosen: the same"),
    "ipv4/icmp_ratemask": Pin(0, "chosen: nor is it by the limit of all, icmp_global_allow()"),
    "ipv6/icmp/ratemask": Pin("255", "chosen: the same; no error has that type"),
    "ipv4/tcp_congestion_control": Pin(
        "reno", "chosen: where it is bbr, streams go on pacing by timers under any other"
    ),
    "ipv4/tcp_rmem": Pin("4096 131072 6291456", "too small a buffer stalls a stream"),
    "ipv4/tcp_wmem": Pin("4096 16384 4194304", "too small a buffer stalls a stream"),
    # There where br_netfilter is loaded, as on every node with kube-proxy, and then on.
    **{
        f"bridge/bridge-nf-call-{what}": Pin(
            0, "the wire's bridge drops what netfilter takes for malformed", False
        )
        for what in ("iptables", "ip6tables", "arptables")
    },
}

_NEIGHBOUR = {
    "app_solicit": Pin(0, "a user-space daemon is asked, not the neighbour"),
    "base_reachable_time_ms": Pin(30_000, "when a neighbour goes stale"),
    "delay_first_probe_time": Pin(5, "when a stale neighbour is probed"),
    "gc_stale_time": Pin(60, "when a stale neighbour is forgotten"),
    "mcast_resolicit": Pin(0, "whether a neighbour that moved is asked for by broadcast"),
    "mcast_solicit": Pin(3, "how often a cold neighbour is asked for; 0: never"),
    "retrans_time_ms": Pin(1000, "how soon it is asked again"),
    "ucast_solicit": Pin(3, "how often a known neighbour is asked; 0: never"),
    "unres_qlen_bytes": Pin(212_992, "what waits for a cold neighbour; 0: the packet is lost"),
}
#: Of each device, as soon as it is made.
NEIGHBOUR: dict[str, dict[str, Pin]] = {
    "ipv4": _NEIGHBOUR | {"locktime": Pin(100, "how long a MAC is kept that was just learnt")},
    "ipv6": _NEIGHBOUR | {"locktime": Pin(0, "how long a MAC is kept that was just learnt")},
}

#: A node forwards, as every Kubernetes node does.
FORWARDING: dict[str, int | str] = {
    f"{family}/conf/{which}/forwarding": 1
    for family in ("ipv4", "ipv6")
    for which in ("all", "default")
}


def _conf_pins() -> dict[str, Pin]:
    return {
        f"{family}/conf/{which}/{key}": pin
        for family, pins in CONF.items()
        for key, pin in pins.items()
        for which in ("all", "default", "lo")
    }


#: Path below net/ → pin: of a namespace before its devices exist, which then copy `default`.
PINNED: dict[str, Pin] = _conf_pins() | NAMESPACE


def of_device(ifname: str) -> dict[str, Pin]:
    """What is pinned of a device, by its path below net/."""
    return {
        f"{family}/neigh/{ifname}/{key}": pin
        for family, pins in NEIGHBOUR.items()
        for key, pin in pins.items()
    }


class Pins:
    """Pins the sysctls of a testbed's namespaces.

    All are made within a moment, and take over the same. So what the first one takes over is read,
    and in each only what must change is written: to open the files takes longer than all else.
    """

    def __init__(self, first: NetNS) -> None:
        """Look at a new namespace.

        Raises:
            OSError: A sysctl that every kernel has is not there, or cannot be read.
        """
        self._namespace = _otherwise(first, PINNED)
        self._device = [
            (key.split("/lo/"), value) for key, value in _otherwise(first, of_device("lo")).items()
        ]

    def pin(self, ns: NetNS) -> None:
        """Pin a new namespace, before it has devices.

        Raises:
            OSError: A sysctl cannot be written.
        """
        ns.sysctls(self._namespace)

    def pin_devices(self, ns: NetNS, ifnames: Iterable[str]) -> None:
        """Pin devices that are not up yet.

        Raises:
            OSError: A sysctl cannot be written.
        """
        values: dict[str, int | str] = {}
        for name in ifnames:
            values |= {f"/{name}/".join(parts): value for parts, value in self._device}
            # A `stable_secret` of `default` makes new devices take another (ipv6_add_dev()).
            values[f"ipv6/conf/{name}/addr_gen_mode"] = 1
        ns.sysctls(values)


def _otherwise(ns: NetNS, pins: Mapping[str, Pin]) -> dict[str, int | str]:
    """Those whose value in a namespace is another, with the one to write."""
    found = ns.read_sysctls(pins, frozenset(key for key, pin in pins.items() if not pin.everywhere))
    return {
        key: pins[key].value
        for key, value in found.items()
        if value.split() != str(pins[key].value).split()
    }
