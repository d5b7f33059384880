# SPDX-License-Identifier: Apache-2.0
"""Mutants: a router's duties."""

from __future__ import annotations

from harness.bpf.source import Patch
from testbeds.mutants import addresses
from testbeds.mutants import targets as t
from testbeds.mutants.mutant import Catch, Mutant, patch

_LINK_SCOPE = (
    "	if (link_scope6(&pkt.dst6) || has_options6(&pkt) || for_the_stack(skb))\n"
    "		return to_stack(PROGRAM_FROM_CONTAINER);"
)
_OWN_SOURCE = t.D2 + "test_hr45_host_source_from_the_wire_is_not_delivered"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "time exceeded not sent",
        patch(
            "icmp_error.c",
            "if (!node || !error_allowed(skb, pkt, l4_offset) || !error_affordable())",
            "if (1)",
        ),
        (
            Catch(t.D1 + "test_hr17_ttl_1_same_node", "errors", {"size": 56}),
            Catch(t.D2 + "test_hr17_ttl_1_ends_at_the_first_node", "errors"),
            Catch(t.D2 + "test_hr17_ttl_2_ends_at_the_second_node", "errors"),
        ),
    ),
    Mutant(
        "time exceeded from another's address",
        (
            Patch("icmp_error.c", "from_pod ? node->gateway4 : node->node4", "pkt->dst4"),
            Patch("icmp_error.c", "from_pod ? node->gateway6 : node->node6", "pkt->dst6"),
        ),
        (
            Catch(t.D1 + "test_hr17_ttl_1_same_node", "error's source", {"size": 0}),
            Catch(t.D1 + "test_hr17_traceroute_is_answered", "error's source", {"layer": "udp"}),
            Catch(t.D2 + "test_hr17_ttl_2_ends_at_the_second_node", "error's source"),
        ),
    ),
    Mutant(
        "ICMP error with a TTL of 1",
        (
            Patch("icmp_error.c", "head.ip.ttl = 64;", "head.ip.ttl = 1;"),
            Patch("icmp_error.c", "head.ip.hop_limit = 64;", "head.ip.hop_limit = 1;"),
        ),
        (
            Catch(t.D1 + "test_hr17_ttl_1_same_node", "error's TTL", {"size": 56}),
            Catch(t.D2 + "test_hr17_ttl_1_ends_at_the_first_node", "error's TTL"),
        ),
    ),
    Mutant(
        "ICMP error with a hop limit of 63",
        (
            Patch("icmp_error.c", "head.ip.ttl = 64;", "head.ip.ttl = 63;"),
            Patch("icmp_error.c", "head.ip.hop_limit = 64;", "head.ip.hop_limit = 63;"),
        ),
        (Catch(t.D2 + "test_hr17_ttl_2_ends_at_the_second_node", "error's TTL"),),
    ),
    Mutant(
        "ICMP error keeps the marks of GSO",
        patch("icmp_error.c", "(skb->gso_size || ", "("),
        (Catch(t.D1 + "test_hr17_expiring_gso_packet_is_answered_once", "errors"),),
    ),
    Mutant(
        "ICMP error quotes too little",
        (
            Patch("icmp_error.c", "quote = QUOTE_MAX4;", "quote = QUOTE_MAX4;\n	quote -= 8;"),
            Patch("icmp_error.c", "quote = QUOTE_MAX6;", "quote = QUOTE_MAX6;\n	quote -= 8;"),
        ),
        (Catch(t.D1 + "test_hr17_expiring_gso_packet_is_answered_once", "error's length"),),
    ),
    Mutant(
        "ICMP error's checksum off by one",
        (
            Patch(
                "icmp_error.c",
                "head.icmp.checksum = fold(sum);",
                "head.icmp.checksum = fold(sum) + 1;",
            ),
            Patch(
                "icmp_error.c",
                "head.icmp.icmp6_cksum = fold(sum);",
                "head.icmp.icmp6_cksum = fold(sum) + 1;",
            ),
        ),
        (Catch(t.SUMS, "checksums", t.OFFLOADS), Catch(t.SUMS_FAR, "checksums", t.OFFLOADS)),
    ),
    Mutant(
        "source address not checked",
        addresses.UNCHECKED,
        (
            Catch(t.D1 + "test_hr45_spoofed_source", "legs", {"claimed": "pod2"}),
            Catch(t.D1 + "test_hr45_spoofed_source", "legs", {"claimed": "stranger"}),
        ),
    ),
    Mutant(
        "spoofed source counted as malformed",
        patch(
            "count.c",
            "	u64 *count = drops.lookup(&reason);",
            "	u32 wrong = 0; u64 *count = drops.lookup(&wrong);",
        ),
        (Catch(t.D1 + "test_hr45_spoofed_source", "drops", {"claimed": "pod2"}),),
    ),
    Mutant(
        "link scope sent out of the NIC",
        patch(
            "from_container.c",
            _LINK_SCOPE,
            "	if (link_scope6(&pkt.dst6)) {\n"
            "		u32 zero = 0; struct node_config *node = config.lookup(&zero);\n"
            "		if (node) return bpf_redirect(node->nic_ifindex, 0); }",
        ),
        (
            Catch(
                t.D2 + "test_hr23_link_scope_never_reaches_the_wire",
                "interfaces",
                {"destination": "ff02::1"},
                (6,),
            ),
            Catch(
                t.D2 + "test_hr23_link_scope_never_reaches_the_wire",
                "interfaces",
                {"destination": "fe80::99"},
                (6,),
            ),
        ),
    ),
    Mutant(
        "link scope flooded to every lxc",
        patch(
            "from_container.c",
            _LINK_SCOPE,
            "	if (link_scope6(&pkt.dst6)) { u32 i = skb->ifindex + 1;\n"
            "		return redirect_peer(i, 0); }",
        ),
        (
            Catch(
                t.D1 + "test_hr23_link_local_and_multicast_are_not_routed",
                "interfaces",
                {"destination": "ff02::1"},
                (6,),
            ),
        ),
    ),
    Mutant(
        "tags and broadcasts ignored",
        patch("parse.h", "	return skb->vlan_present ||", "	return 0 && skb->vlan_present &&"),
        (Catch(t.D2 + "test_hr23_tagged_frame_stays_on_its_link", "interfaces"),),
    ),
    Mutant(
        "link-local sources delivered from the wire",
        patch(
            "from_netdev.c",
            "	    link_scope6(&pkt.src6) || unspecified6(&pkt.src6))",
            "	    0)",
        ),
        (
            Catch(
                t.D2 + "test_hr23_link_local_source_from_the_wire_is_not_delivered",
                "arrived",
                families=(6,),
            ),
        ),
    ),
    Mutant(
        "the node's own source delivered from the wire",
        patch("from_netdev.c", "	if (sender && sender->flags)	/*", "	if (0)	/*"),
        (Catch(_OWN_SOURCE, "arrived", families=(4,)),),
    ),
    Mutant(
        "loopback sources delivered from the wire",
        (
            Patch("parse.h", "first == 127 || ", ""),
            Patch(
                "from_netdev.c",
                "		return drop(PROGRAM_FROM_NETDEV, DROP_SOURCE);\n"
                "	if (sender && sender->flags)\n",
                "		return drop(PROGRAM_FROM_NETDEV, DROP_SOURCE);\n	if (0)\n",
            ),
        ),
        (
            Catch(
                _OWN_SOURCE,
                "arrived",
            ),
        ),
    ),
    Mutant(
        "IPv4 header checksum not looked at",
        patch("read_packet.c", "	return sum == 0xffff && (", "	return sum && ("),
        (Catch(t.D1 + "test_hr18_malformed_header_is_dropped", "interfaces", families=(4,)),),
    ),
    Mutant(
        "malformed headers passed on",
        (
            Patch("read_packet.c", " || !whole4(skb, ip))", ")"),
            Patch(
                "read_packet.c",
                "if (bpf_ntohs(ip->payload_len) >",
                "if (0 && bpf_ntohs(ip->payload_len) >",
            ),
        ),
        (Catch(t.D1 + "test_hr18_malformed_header_is_dropped", "interfaces"),),
    ),
    Mutant(
        "probes of the gateway from a link-local address taken for spoofed",
        patch("from_container.c", "if (!unrouted && (!sender ||", "if ((!sender ||"),
        (
            Catch(
                "one_node/test_gateway::test_hr16_gateway_is_probed_from_a_link_local_address",
                "legs",
                families=(6,),
            ),
        ),
    ),
    Mutant(
        "time exceeded about a later fragment",
        patch("icmp_error.c", " || pkt->later_fragment)", ")"),
        (
            Catch(
                t.D2 + "test_hr17_no_time_exceeded_about_a_later_fragment",
                "frames that left",
                families=(4,),
            ),
        ),
    ),
    Mutant(
        "time exceeded without a limit",
        patch("icmp_error.c", " || !error_affordable())", ")"),
        (Catch(t.D1 + "test_hr17_time_exceeded_is_limited", "errors"),),
    ),
    Mutant(
        "errors longer than a router's may be",
        (
            Patch("icmp_error.c", "#define QUOTE_MAX4	(576 -", "#define QUOTE_MAX4	(1200 -"),
            Patch("icmp_error.c", "	if (quote > QUOTE_MAX6)\n		quote = QUOTE_MAX6;\n", ""),
        ),
        (
            Catch(t.D1 + "test_hr17_ttl_1_same_node", "error's length", {"size": 1400}, (4,)),
            Catch(t.D1 + "test_hr17_ttl_1_same_node", "errors", {"size": 1400}, (6,)),
        ),
    ),
    Mutant(
        "errors about pings alone",
        (
            Patch(
                "icmp_error.c",
                "		if (pkt->protocol != IPPROTO_ICMP)\n			return true;",
                "		if (pkt->protocol != IPPROTO_ICMP)\n			return false;",
            ),
            Patch(
                "icmp_error.c",
                "	if (pkt->protocol != IPPROTO_ICMPV6)\n		return true;",
                "	if (pkt->protocol != IPPROTO_ICMPV6)\n		return false;",
            ),
        ),
        (
            Catch(t.D1 + "test_hr17_traceroute_is_answered", "errors", {"layer": "udp"}),
            Catch(t.D1 + "test_hr17_traceroute_is_answered", "errors", {"layer": "tcp"}),
        ),
    ),
    Mutant(
        "errors about errors",
        (
            Patch(
                "icmp_error.c",
                "return type == ICMP_ECHO || type == ICMP_ECHOREPLY || type == ICMP_TIMESTAMP;",
                "return true;",
            ),
            Patch("icmp_error.c", "return type & 0x80;", "return true;"),
        ),
        (Catch(t.D1 + "test_hr17_never_an_error_about_an_error", "sightings"),),
    ),
    Mutant(
        "no errors about what stands behind an extension header",
        patch(
            "icmp_error.c",
            "	if (pkt->family == ADDRESS_FAMILY_INET6 && pkt->later_fragment)\n"
            "		return to_stack(program);\n",
            "",
        ),
        (
            Catch(
                t.D1 + "test_hr17_time_exceeded_behind_an_extension_header",
                "errors",
                families=(6,),
            ),
        ),
    ),
    Mutant(
        "options not left to the stack",
        (
            Patch("read_packet.c", "((struct iphdr *)cur.l3)->ihl > 5;", "false;"),
            Patch("read_packet.c", "return pkt->protocol == IPPROTO_HOPOPTS;", "return false;"),
        ),
        (Catch(t.D1 + "test_hr20_options_are_the_stacks", "leaves through the lxc"),),
    ),
    Mutant(
        "options not left to the stack by bpf_redirect",
        (
            Patch("read_packet.c", "((struct iphdr *)cur.l3)->ihl > 5;", "false;"),
            Patch("read_packet.c", "return pkt->protocol == IPPROTO_HOPOPTS;", "return false;"),
        ),
        (Catch(t.D1 + "test_hr20_options_are_the_stacks", "forward hook"),),
        "bpf-redirect",
    ),
    Mutant(
        "a pod's MTU not looked at",
        patch("local_delivery.c", "if (pkt->l3_size > pod->mtu)", "if (0)"),
        (Catch(t.D1 + "test_hr30_beyond_a_pods_own_mtu", "errors"),),
    ),
)
