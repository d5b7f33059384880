# SPDX-License-Identifier: Apache-2.0
"""Mutants: what is rewritten."""

from __future__ import annotations

from harness.bpf.source import Patch
from testbeds.mutants import targets as t
from testbeds.mutants.mutant import Catch, Mutant, patch

_DELIVERED = "if (decrement_ttl(skb, pkt) || write_macs(skb, pod->mac, pod->lxc_mac))"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "TTL not decremented on delivery",
        patch("local_delivery.c", _DELIVERED, "if (write_macs(skb, pod->mac, pod->lxc_mac))"),
        (
            Catch(t.TTL, "TTL at pod2"),
            Catch(t.TTL_FAR, "TTL at pod2"),
        ),
    ),
    Mutant(
        "TTL not decremented on forwarding",
        patch(
            "forward.c",
            """	if (decrement_ttl(skb, pkt))
		return drop(program, DROP_REWRITE);

	/* Kernels""",
            "	/* Kernels",
        ),
        (Catch(t.TTL_FAR, "TTL on the wire"),),
    ),
    Mutant(
        "TTL decremented twice",
        patch("local_delivery.c", _DELIVERED, "decrement_ttl(skb, pkt);\n	" + _DELIVERED),
        (Catch(t.TTL, "TTL at pod2", families=(4,)),),
    ),
    Mutant(
        "IPv4 checksum not adjusted to the new TTL",
        patch("rewrite.c", "		ip->check = check + (check >= 0xffff);\n", ""),
        (
            Catch(t.SUMS, "checksums", t.OFFLOADS, (4,)),
            Catch(t.SUMS_FAR, "checksums", t.OFFLOADS, (4,)),
        ),
    ),
    Mutant(
        "IPv4 checksum off by one",
        patch(
            "rewrite.c",
            "ip->check = check + (check >= 0xffff);",
            "ip->check = check + (check >= 0xffff) + 1;",
        ),
        (Catch(t.SUMS, "checksums", t.OFFLOADS, (4,)),),
    ),
    Mutant(
        "don't-fragment bit and flow label cleared",
        (
            Patch(
                "rewrite.c",
                "		ip->ttl -= 1;\n",
                "		ip->ttl -= 1;\n"
                "		if (ip->frag_off & bpf_htons(0x4000)) {\n"
                "			check = ip->check + bpf_htons(0x4000);\n"
                "			ip->frag_off &= ~bpf_htons(0x4000);\n"
                "			ip->check = check + (check >= 0xffff);\n"
                "		}\n",
            ),
            Patch(
                "rewrite.c",
                "		ip->hop_limit -= 1;\n",
                "		ip->hop_limit -= 1;\n		ip->flow_lbl[1] = ip->flow_lbl[2] = 0;\n",
            ),
        ),
        (Catch(t.KEPT, "all but the TTL"), Catch(t.KEPT_FAR, "all but the TTL")),
    ),
    Mutant(
        "traffic class cleared on forwarding",
        patch(
            "forward.c",
            "	count_fib(result);\n",
            "	count_fib(result);\n"
            "	if (pkt->family == ADDRESS_FAMILY_INET6) { u8 first = 0x60;\n"
            "	bpf_skb_store_bytes(skb, L3_OFFSET, &first, 1, 0); }\n",
        ),
        (Catch(t.KEPT_FAR, "all but the TTL", families=(6,)),),
    ),
    Mutant(
        "MACs not rewritten on delivery",
        patch("local_delivery.c", _DELIVERED, "if (decrement_ttl(skb, pkt))"),
        (Catch(t.MACS, "MACs"), Catch(t.MACS_FAR, "MACs")),
    ),
    Mutant(
        "source MAC is the pod's own",
        patch(
            "local_delivery.c",
            "write_macs(skb, pod->mac, pod->lxc_mac)",
            "write_macs(skb, pod->mac, pod->mac)",
        ),
        (Catch(t.MACS, "MACs"),),
    ),
    Mutant(
        "MACs exchanged on the wire",
        patch(
            "forward.c",
            "write_macs(skb, fib.dmac, fib.smac)",
            "write_macs(skb, fib.smac, fib.dmac)",
        ),
        (Catch(t.MACS_WIRE, "MACs"),),
    ),
    Mutant(
        "MACs not rewritten for the wire",
        patch("forward.c", "if (write_macs(skb, fib.dmac, fib.smac))", "if (0)"),
        (Catch(t.MACS_WIRE, "MACs"),),
    ),
)
