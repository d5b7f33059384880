# SPDX-License-Identifier: Apache-2.0
"""Mutants: a NIC's sum over the packet that is not told of what was written."""

from __future__ import annotations

from harness.bpf.source import Patch
from testbeds.mutants.mutant import Catch, Mutant, both, patch

_SUM = "two_node/test_nic_checksum::test_hr18_nics_sum_over_what_programs_write"
_SERVED = "two_node/test_nic_checksum::test_hr42_nics_sum_over_translations"
_STORED = (
    "	return bpf_skb_store_bytes(skb, L3_OFFSET, &head, sizeof(head), BPF_F_RECOMPUTE_CSUM);"
)
_ADVERTISED = "sizeof(adv.eth),\n				BPF_F_RECOMPUTE_CSUM)"
_ERROR4 = "sizeof(head.ip), 0));\n" + _STORED
_ERROR6 = "sizeof(pkt->src6));\n" + _STORED

_ENDS6 = (
    "	return write_ports(skb, pkt, changed) ||\n"
    "	       bpf_skb_store_bytes(skb, ADDRESSES6, after, sizeof(after), BPF_F_RECOMPUTE_CSUM);"
)
_ERROR_ENDS6 = (
    "	if (bpf_l4_csum_replace(skb, icmp_sum, 0, changed, BPF_F_PSEUDO_HDR) ||\n"
    "	    bpf_skb_store_bytes(skb, ADDRESSES6, after, sizeof(after), BPF_F_RECOMPUTE_CSUM))"
)
_REPLY = "	become@(pkt, &at->partner);\n	return translate(skb, pkt);"
_SENDERS = [f"	sender = endpoints{family}.lookup(&pkt.src{family});" for family in (4, 6)]


def _unsummed(name: str, patches: tuple[Patch, ...], *families: int) -> Mutant:
    return Mutant(name, patches, (Catch(_SUM, "sums from a pod", families=families),))


MUTANTS: tuple[Mutant, ...] = (
    _unsummed(
        "NIC's sum without IPv4's ICMP error",
        patch("icmp_error.c", _ERROR4, _ERROR4.replace("BPF_F_RECOMPUTE_CSUM", "0")),
        4,
    ),
    _unsummed(
        "NIC's sum without IPv6's ICMP error",
        patch("icmp_error.c", _ERROR6, _ERROR6.replace("BPF_F_RECOMPUTE_CSUM", "0")),
        6,
    ),
    _unsummed(
        "NIC's sum without the ARP reply",
        patch("gateway.c", "&arp, sizeof(arp), BPF_F_RECOMPUTE_CSUM", "&arp, sizeof(arp), 0"),
        4,
    ),
    _unsummed(
        "NIC's sum without the advertisement",
        patch("gateway.c", _ADVERTISED, "sizeof(adv.eth), 0)"),
        6,
    ),
    _unsummed(
        "NIC's sum without the echo reply's hop limit",
        patch("gateway_echo.c", "&hop_limit, 1, BPF_F_RECOMPUTE_CSUM", "&hop_limit, 1, 0"),
        6,
    ),
    _unsummed(
        "NIC's sum without the hop limit",
        patch("rewrite.c", "		bpf_csum_update(skb, ~(u32)bpf_htons(1));\n", ""),
        6,
    ),
    Mutant(
        "NIC's sum wrong off the wire",
        tuple(
            Patch("from_netdev.c", line, f"	bpf_csum_update(skb, 1);\n{line}") for line in _SENDERS
        ),
        (Catch(_SUM, "sums off the wire"), Catch(_SERVED, "asked off the wire")),
    ),
    Mutant(
        "NIC's sum moved by translated ports",
        patch("translate.c", "mangled | sizeof(after))",
              "mangled | BPF_F_PSEUDO_HDR | sizeof(after))"),
        (Catch(_SERVED, "asked by a pod"),),
    ),
    Mutant(
        "NIC's sum moved by translated addresses of IPv6",
        patch("translate.c", _ENDS6, _ENDS6.replace("BPF_F_RECOMPUTE_CSUM", "0")),
        (Catch(_SERVED, "asked by a pod", families=(6,)),),
    ),
    Mutant(
        "NIC's sum without the ports of what has no sum of its own",
        patch("translate.c", "before.sum ? 0 : BPF_F_RECOMPUTE_CSUM", "before.sum ? 0 : 0"),
        (Catch(_SERVED, "without a sum"),),
    ),
    Mutant(
        "NIC's sum moved by replies of the node's own processes",
        both("reply.c", _REPLY, "	bpf_csum_update(skb, 1);\n" + _REPLY),
        (Catch(_SERVED, "answered"),),
    ),
    Mutant(
        "NIC's sum moved by ports that an error quotes",
        patch("translate.c", "(skb, icmp_sum, before, ports, sizeof(ports))",
              "(skb, icmp_sum, before, ports, BPF_F_PSEUDO_HDR | sizeof(ports))"),
        (Catch(_SERVED, "errors"),),
    ),
    Mutant(
        "NIC's sum moved by an error's addresses of IPv6",
        patch("translate.c", _ERROR_ENDS6, _ERROR_ENDS6.replace("BPF_F_RECOMPUTE_CSUM", "0")),
        (Catch(_SERVED, "errors", families=(6,)),),
    ),
)  # fmt: skip
