# SPDX-License-Identifier: Apache-2.0
"""Mutants: what the datapath answers, field by field."""

from __future__ import annotations

from harness.bpf.source import Patch
from testbeds.mutants import targets as t
from testbeds.mutants.mutant import Catch, Mutant, patch

_ARP = t.ANSWERS + "test_hr16_every_field_of_arp_answers"
_ND = t.ANSWERS + "test_hr16_every_field_of_advertisements"
_ECHO = t.ANSWERS + "test_hr16_gateway_answers_echo_and_nothing_like_it"
_NOT_ASKED = "answered what was not asked"


def _arp(name: str, old: str, new: str, assertion: str = "answers") -> Mutant:
    return Mutant(name, patch("gateway.c", old, new), (Catch(_ARP, assertion, families=(4,)),))


def _nd(name: str, old: str, new: str, assertion: str = "answers") -> Mutant:
    return Mutant(name, patch("gateway.c", old, new), (Catch(_ND, assertion, families=(6,)),))


def _both(file: str, ipv4: tuple[str, str], ipv6: tuple[str, str]) -> tuple[Patch, ...]:
    return (Patch(file, *ipv4), Patch(file, *ipv6))


_ARP_TARGET = "	__builtin_memcpy(arp.target_mac, arp.sender_mac, ETH_ALEN);\n"
_ARP_MUTANTS = (
    _arp("ARP answered with a question", "bpf_htons(ARPOP_REPLY)", "bpf_htons(ARPOP_REQUEST)"),
    _arp("ARP answer without a target MAC", _ARP_TARGET, ""),
    _arp(
        "ARP answer for another address",
        "	__builtin_memcpy(arp.sender, &target, sizeof(target));\n",
        "	__builtin_memcpy(arp.sender, &node->node4, sizeof(target));\n",
    ),
    _arp(
        "ARP answer to the frame's sender, not ARP's",
        "	__builtin_memcpy(cur.eth->h_dest, arp.sender_mac, ETH_ALEN);",
        "	__builtin_memcpy(cur.eth->h_dest, cur.eth->h_source, ETH_ALEN);",
    ),
    _arp(
        "ARP answer without a target address",
        "	__builtin_memcpy(arp.target, arp.sender, sizeof(arp.target));\n",
        "",
    ),
    _arp(
        "unicast ARP ignored",
        "	__builtin_memcpy(&target, arp.target, sizeof(target));\n",
        "	__builtin_memcpy(&target, arp.target, sizeof(target));\n"
        "	if (skb->pkt_type == PACKET_HOST)\n		return to_stack(PROGRAM_FROM_CONTAINER);\n",
    ),
    _arp("ARP replies answered", "arp.head.ar_op != bpf_htons(ARPOP_REQUEST) || ", "", _NOT_ASKED),
    _arp(
        "ARP of other hardware answered",
        "arp.head.ar_hrd != bpf_htons(ARPHRD_ETHER) || ",
        "",
        _NOT_ASKED,
    ),
    _arp(
        "ARP of other protocols answered",
        " arp.head.ar_pro != bpf_htons(ETH_P_IP) ||",
        "",
        _NOT_ASKED,
    ),
    _arp(
        "ARP of other lengths answered",
        "arp.head.ar_hln != ETH_ALEN || arp.head.ar_pln != sizeof(target) ||",
        "",
        _NOT_ASKED,
    ),
)

_ND_MUTANTS = (
    _nd("advertisement not a router's", "adv.icmp.icmp6_router = 1;", ""),
    _nd(
        "advertisement not solicited",
        "adv.icmp.icmp6_solicited = !duplicate_check;",
        "adv.icmp.icmp6_solicited = 0;",
    ),
    _nd(
        "advertisement to all nodes says it was solicited",
        "adv.icmp.icmp6_solicited = !duplicate_check;",
        "adv.icmp.icmp6_solicited = 1;",
    ),
    _nd("advertisement does not override", "adv.icmp.icmp6_override = 1;", ""),
    _nd(
        "advertisement without an option",
        "size = sizeof(adv) - sizeof(adv.eth) - sizeof(adv.ip);",
        "size = sizeof(adv) - sizeof(adv.eth) - sizeof(adv.ip) - 8;",
    ),
    _nd(
        "advertisement with the sender's kind of option",
        "#define ND_TARGET_MAC		2",
        "#define ND_TARGET_MAC		1",
    ),
    _nd(
        "advertisement with hop limit 64",
        "	adv.ip.hop_limit = ND_HOP_LIMIT;",
        "	adv.ip.hop_limit = 64;",
    ),
    _nd(
        "advertisement from another MAC",
        "	__builtin_memcpy(adv.eth.h_source, pod->lxc_mac, ETH_ALEN);",
        "	__builtin_memcpy(adv.eth.h_source, cur.eth->h_source, ETH_ALEN);",
    ),
    _nd(
        "duplicate address detection answered by unicast",
        "	duplicate_check = unspecified6(&pseudo.destination);",
        "	duplicate_check = 0;",
    ),
    _nd(
        "advertisement's checksum one too many",
        "adv.icmp.icmp6_cksum = fold(sum);",
        "adv.icmp.icmp6_cksum = fold(sum) + 1;",
        "checksums",
    ),
    _nd(
        "unicast solicitations ignored",
        "	sol = cur.l3;\n",
        "	sol = cur.l3;\n"
        "	if (sol->ip.daddr.in6_u.u6_addr8[0] != 0xff)\n"
        "		return to_stack(PROGRAM_FROM_CONTAINER);\n",
        "answered",
    ),
    _nd(
        "solicitations of hop limit 64 answered",
        "sol->ip.hop_limit != ND_HOP_LIMIT ||",
        "sol->ip.hop_limit < 64 ||",
        _NOT_ASKED,
    ),
    _nd("solicitations of any code answered", " || sol->icmp.icmp6_code ||", " ||", _NOT_ASKED),
    _nd("advertisements answered", "sol->icmp.icmp6_type != ND_SOLICITATION || ", "", _NOT_ASKED),
)


def _echo(name: str, old: str, new: str, families: tuple[int, ...] = (4, 6)) -> Mutant:
    found = Catch(_ECHO, "what is answered", families=families)
    return Mutant(name, patch("gateway_echo.c", old, new), (found,))


_ECHO_MUTANTS = (
    _echo("gateway answers timestamps as echo", "type != request)",
          "(type != request && type != ICMP_TIMESTAMP))", (4,)),
    _echo("gateway answers echo replies", "type != request)",
          "(type != request && type != (ipv4 ? ICMP_ECHOREPLY : ICMPV6_ECHO_REPLY)))"),
    _echo("gateway answers echo requests of the other family",
          "pkt->protocol != (ipv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)",
          "(pkt->protocol != IPPROTO_ICMP && pkt->protocol != IPPROTO_ICMPV6)", (6,)),
    _echo("gateway answers fragments", "pkt->fragment || ", "", (4,)),
    _echo(
        "gateway's echo reply loses its class",
        "	return bpf_l3_csum_replace(skb, L3_OFFSET + __builtin_offsetof(struct iphdr, check),\n"
        "				   before,",
        "	u8 none = 0;\n"
        "	bpf_l3_csum_replace(skb, L3_OFFSET + 10, bpf_htons(pkt->tos), 0, 2);\n"
        "	bpf_skb_store_bytes(skb, L3_OFFSET + 1, &none, 1, 0);\n"
        "	return bpf_l3_csum_replace(skb, L3_OFFSET + __builtin_offsetof(struct iphdr, check),\n"
        "				   before,",
        (4,),
    ),
    Mutant(
        "gateway answers odd echo requests alone",
        patch("gateway_echo.c", "type != request)", "type != request || !(skb->len & 1))"),
        (Catch(_ECHO, "answered"),),
    ),
)  # fmt: skip

_REFUSED = "skb->pkt_type != PACKET_HOST || pkt->later_fragment"
_ERROR_MUTANTS = (
    Mutant(
        "error's TOS 0",
        patch("icmp_error.c", "head.ip.tos = 0xc0;", "head.ip.tos = 0;"),
        (Catch(t.ERRORS, "traffic class", families=(4,)),),
    ),
    Mutant(
        "error's TOS the packet's",
        patch("icmp_error.c", "head.ip.tos = 0xc0;", "head.ip.tos = pkt->tos;"),
        (Catch(t.ERRORS, "traffic class", families=(4,)),),
    ),
    Mutant(
        "error's quote cut at 28 bytes, 48 of IPv6",
        (
            Patch(
                "icmp_error.c",
                "(576 - (int)sizeof(struct iphdr)",
                "(56 - (int)sizeof(struct iphdr)",
            ),
            Patch(
                "icmp_error.c",
                "(1280 - (int)sizeof(struct ipv6hdr)",
                "(96 - (int)sizeof(struct ipv6hdr)",
            ),
        ),
        (Catch(t.ERRORS, "quotes that are cut"),),
    ),
    Mutant(
        "error's quote cut below its least",
        (
            Patch(
                "icmp_error.c",
                "(576 - (int)sizeof(struct iphdr)",
                "(52 - (int)sizeof(struct iphdr)",
            ),
            Patch(
                "icmp_error.c",
                "(1280 - (int)sizeof(struct ipv6hdr)",
                "(92 - (int)sizeof(struct ipv6hdr)",
            ),
        ),
        (Catch(t.ERRORS_FAR, "answered"),),
    ),
    Mutant(
        "error's checksum wrong for odd packets",
        patch(
            "icmp_error.c",
            "		sum = csum_diff(NULL, 0, (void *)chunk, CHUNK, sum);\n",
            "		if (size & 1) chunk[(size - 1) & (CHUNK - 1)] = 0;\n"
            "		sum = csum_diff(NULL, 0, (void *)chunk, CHUNK, sum);\n",
        ),
        (Catch(t.ERRORS, "checksums"), Catch(t.ERRORS_FAR, "checksums")),
    ),
    Mutant(
        "error quotes the packet with another TTL",
        patch(
            "icmp_error.c",
            "	node = config.lookup(&zero);\n	if (!node || !error_allowed",
            "	decrement_ttl(skb, pkt);\n"
            "	node = config.lookup(&zero);\n	if (!node || !error_allowed",
        ),
        (Catch(t.ERRORS, "quotes"), Catch(t.ERRORS_FAR, "quotes")),
    ),
    Mutant(
        "TTL changed before the stack is left to say that it is too big",
        patch(
            "local_delivery.c",
            "	if (pkt->l3_size > pod->mtu)\n",
            "	if (pkt->l3_size > pod->mtu)\n		decrement_ttl(skb, pkt);\n"
            "	if (pkt->l3_size > pod->mtu)\n",
        ),
        (Catch(t.D1 + "test_hr30_beyond_a_pods_own_mtu", "quotes"),),
    ),
    Mutant(
        "TTL changed before the stack is left to fragment",
        patch(
            "forward.c",
            "	case FIB_FRAG_NEEDED:	/*",
            "	case FIB_FRAG_NEEDED: decrement_ttl(skb, pkt); return to_stack(program);	/*",
        ),
        (Catch(t.MTU + "test_hr31_fragments_arrive_whole", "fragments' headers", families=(4,)),),
    ),
    Mutant(
        "error's MACs not exchanged",
        (
            Patch(
                "icmp_error.c",
                "memcpy(destination, cur.eth->h_source",
                "memcpy(source, cur.eth->h_source",
            ),
            Patch(
                "icmp_error.c",
                "memcpy(source, cur.eth->h_dest",
                "memcpy(destination, cur.eth->h_dest",
            ),
        ),
        (Catch(t.ERRORS, "MACs"), Catch(t.ERRORS_FAR, "MACs")),
    ),
    Mutant(
        "errors of code 1",
        (
            Patch("icmp_error.c", "ICMP_TIME_EXCEEDED, ICMP_EXC_TTL,", "ICMP_TIME_EXCEEDED, 1,"),
            Patch(
                "icmp_error.c", "ICMPV6_TIME_EXCEED, ICMPV6_EXC_HOPLIMIT,", "ICMPV6_TIME_EXCEED, 1,"
            ),
        ),
        (Catch(t.ERRORS, "type and code"),),
    ),
    Mutant(
        "errors about frames for another host",
        patch("icmp_error.c", _REFUSED, "pkt->later_fragment"),
        (
            Catch(t.ERRORS, "errors about frames for others"),
            Catch(t.ERRORS_FAR, "errors about others' frames"),
        ),
    ),
    Mutant(
        "errors about TCP alone not sent",
        patch("icmp_error.c", _REFUSED, _REFUSED + " || pkt->protocol == IPPROTO_TCP"),
        (Catch(t.ERRORS, "answered"), Catch(t.ERRORS_FAR, "answered")),
    ),
    Mutant(
        "budget that never refills",
        patch("icmp_error.c", "if (budget->window != window) {", "if (!budget->window) {"),
        (
            Catch(
                t.D1 + "test_hr17_time_exceeded_is_limited",
                "errors when the budget is refilled",
            ),
        ),
    ),
)

MUTANTS: tuple[Mutant, ...] = (*_ARP_MUTANTS, *_ND_MUTANTS, *_ECHO_MUTANTS, *_ERROR_MUTANTS)
