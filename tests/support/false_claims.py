# SPDX-License-Identifier: Apache-2.0
"""The example of `examples/elf` with one fault for each claim, by which that claim is false.

Also a plugin for a child's pytest: of such a datapath's tests only the one runs that must notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.elf_example import TRIMMING, example

PREFIX = "false-"


@dataclass(frozen=True)
class Fault:
    """Why a claim of the example is false.

    Attributes:
        test: The test that must notice.
        assertion: The name of its assertion.
        program: Changes of the source.
        toml: Changes of the description.
    """

    test: str
    assertion: str
    program: Mapping[str, str] = field(default_factory=dict)
    toml: Mapping[str, str] = field(default_factory=dict)


def claiming(claim: str, value: str) -> dict[str, str]:
    """One more claim in the description."""
    return {'decrements_ttl = "yes"\n': f'decrements_ttl = "yes"\n{claim} = {value}\n'}


_BOTH = '["ipv4", "ipv6"]'
_LEFT4 = "if (!leaves(skb, &fib, &resolved))\n\t\treturn TC_ACT_OK;\n\tdecrement_ttl(ip);"
_FROM_POD = "return route(skb, true);"
#: A third program, which cuts the errors that the stack writes to what RFC 792 asks for.
_LICENSE = "char _license[]"
_TRIMMING = {
    _LICENSE: TRIMMING
    + """
SEC("tc")
int to_pod(struct __sk_buff *skb)
{
	struct ethhdr *eth = headers(skb, 56);
	struct iphdr *ip = (void *)(eth + 1);
	__u8 *icmp = (void *)(ip + 1);

	if (!eth || eth->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != 1 || icmp[0] != 11)
		return TC_ACT_OK;
	if (change_tail(skb, ETH_HLEN + 56, 0))
		return TC_ACT_SHOT;
	eth = headers(skb, 56);
	if (!eth)
		return TC_ACT_SHOT;
	ip = (void *)(eth + 1);
	ip->tot_len = bpf_htons(56);
	ip->check = 0;
	ip->check = folded((void *)ip, 10);
	icmp = (void *)(ip + 1);
	*(__u16 *)(icmp + 2) = 0;
	*(__u16 *)(icmp + 2) = folded((void *)icmp, 18);
	return TC_ACT_OK;
}

char _license[]"""
}
_FIRST_MAP = '[[map]]\nname = "pods4"'
_TRIMMED = {
    _FIRST_MAP: """[[attach]]
object = "hostpath.o"
program = "to_pod"
at = "lxc"
direction = "egress"
hook = "clsact"

"""
    + _FIRST_MAP
}
FAULTS: dict[str, Fault] = {
    "bypasses_stack": Fault(
        "test_hr02_netfilter_hooks",
        "hooks", {"return route(skb, true);": "return TC_ACT_OK;"}),
    "delivers": Fault(
        "test_hr12_every_leg_once_same_node",
        "legs", {
        "return bpf_redirect_peer(pod->ifindex, 0);": "return bpf_redirect(pod->ifindex, 0);",
    }),
    "delivers_off_wire": Fault(
        "test_hr08_ping_between_nodes",
        "legs", toml={
        **claiming("delivers_off_wire", '"lxc"'), 'keeps_mark = "yes"\n': "",
    }),
    "local_pods": Fault(
        "test_hr43_host_route_deleted_and_rp_filter_on",
        "lost", toml={'local_pods = "table"\n': ""}),
    "node_addresses": Fault(
        "test_hr20_address_of_the_node_that_is_no_pod",
        "lost", {_LEFT4: _LEFT4.replace("TC_ACT_OK", "TC_ACT_SHOT")}),
    "masquerade": Fault(
        "test_hr08_pod_and_world",
        "legs", toml=claiming("masquerade", '"yes"')),
    "services": Fault(
        "test_hr42_cluster_ip_same_node",
        "legs", toml=claiming("services", _BOTH)),
    "keeps_mark": Fault(
        "test_hr37_mark_and_tstamp_across_the_border",
        "mark", toml={'keeps_mark = "yes"\n': ""}),
    "keeps_tstamp": Fault(
        "test_hr37_mark_and_tstamp_across_the_border",
        "tstamp", toml={'keeps_tstamp = "yes"\n': ""}),
    "accepts_otherhost": Fault(
        "test_hr47_frame_not_addressed_to_the_nic",
        "replies", toml=claiming("accepts_otherhost", '"yes"')),
    "counts": Fault(
        "test_hr01_programs_attached_and_hit",
        "hits", toml=claiming("counts", '"yes"')),
    "decrements_ttl": Fault(
        "test_hr13_ttl_same_node",
        "TTL at pod2", {"ip->ttl--;": "ip->check = sum - bpf_htons(0x0100);"}),
    "time_exceeded": Fault(
        "test_hr17_ttl_1_same_node",
        "errors", {"ip->ttl > 1": "ip->ttl > 0"}),
    "quotes_in_full": Fault(
        "test_hr17_ttl_1_same_node",
        "error's length", _TRIMMING, _TRIMMED),
    "too_big": Fault(
        "test_hr30_beyond_the_mtu_is_told",
        "errors", {"return skb->gso_size ? 0 : skb->len - ETH_HLEN;": "return 0;"}),
    "fragments": Fault(
        "test_hr31_fragments_arrive_whole",
        "lost", {_LEFT4: (
        "if (l3_size(skb) > 1400 && !(ip->frag_off & bpf_htons(0x4000)))\n\t\treturn TC_ACT_SHOT;\n"
        + _LEFT4
    )}),
    "answers_arp": Fault(
        "test_hr16_gateway_is_answered_for",
        "lost", {_FROM_POD: (
        "if (skb->protocol == bpf_htons(ETH_P_ARP))\n\t\treturn TC_ACT_SHOT;\n\t" + _FROM_POD
    )}),
    "answers_nd": Fault(
        "test_hr16_gateway_is_answered_for",
        "lost", {_FROM_POD: (
        "if (skb->protocol == bpf_htons(ETH_P_IPV6) && skb->pkt_type == PACKET_MULTICAST)\n"
        "\t\treturn TC_ACT_SHOT;\n\t" + _FROM_POD
    )}),
    "answers_gateway_ping": Fault(
        "test_hr16_gateway_answers_ping",
        "lost", toml={'gateway = "lxc"': 'gateway = "nowhere"'}),
    "source_check": Fault(
        "test_hr45_spoofed_source",
        "legs", {"if (from_pod && ip->saddr != pod_ip4)": "if (!pod_ip4)"}),
    "wire_source_check": Fault(
        "test_hr45_host_source_from_the_wire_is_not_delivered",
        "arrived", toml=claiming("wire_source_check", _BOTH)),
    "header_check": Fault(
        "test_hr18_malformed_header_is_dropped",
        "interfaces", toml=claiming("header_check", _BOTH)),
    "options_to_stack": Fault(
        "test_hr20_options_are_the_stacks",
        "leaves through the lxc", {"ip->ihl == 5": "ip->ihl >= 5"}),
    "keeps_link_scope": Fault(
        "test_hr23_link_local_source_from_the_wire_is_not_delivered",
        "arrived", {"\n\t       (bpf_htonl(from[0]) >> 22) != 0x3fa &&": ""}),
    "refusing_routes": Fault(
        "test_hr19_refusing_routes",
        "legs", toml={'refusing_routes = "tell"': 'refusing_routes = "drop"'}),
    "tells_no_route": Fault(
        "test_hr21_no_route",
        "errors", {_LEFT4: _LEFT4.replace("TC_ACT_OK", "TC_ACT_SHOT")}),
    "obeys_forwarding": Fault(
        "test_hr22_forwarding_off_on_the_lxc",
        "lost", toml={
        'obeys_forwarding = ["ipv4"]': f"obeys_forwarding = {_BOTH}",
    }),
    "any_device": Fault(
        "test_hr28_next_hops_that_share_an_address",
        "in use", {
        "const volatile __u32 pod_ip4;": "const volatile __u32 pod_ip4;\nconst volatile __u32 nic;",
        "return bpf_redirect(fib->ifindex, 0);": "return bpf_redirect(nic, 0);",
        "bpf_redirect_neigh(fib->ifindex,": "bpf_redirect_neigh(nic,",
    }, {'pod_ip4 = "{ip4}",': 'nic = "{uplink_ifindex}", pod_ip4 = "{ip4}",'}),
    "refreshes_neighbours": Fault(
        "test_hr28_next_hop_moves_silently",
        "lost", {"known && !refresh_due(fib)": "known"}),
}  # fmt: skip


def descriptions(directory: Path) -> list[Path]:
    """A description for each fault."""
    return [
        example(directory, PREFIX + claim, fault.program, fault.toml)
        for claim, fault in FAULTS.items()
    ]


def _concerns(item: pytest.Item) -> bool:
    datapath = str(dict(item.user_properties).get("datapath", ""))
    fault = FAULTS.get(datapath.removeprefix(PREFIX))
    return fault is not None and item.name.partition("[")[0] == fault.test


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what must notice."""
    items[:] = filter(_concerns, items)
