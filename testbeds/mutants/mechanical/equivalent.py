# SPDX-License-Identifier: Apache-2.0
"""Mechanical mutants that survive rightly, each with the reason.

A site is named by its file, its line's text and the change: `Site.key`. tests/unit/test_mechanical
asks that each is still there.
"""

from __future__ import annotations

from collections.abc import Mapping

_MAP = "room for an entry that nobody writes: a test of a full map sees no difference of one"
_CLOCK = "1 ms to 10 ms more of an interval that is 64 ms to 640 ms long by the kernel's HZ"
#: Nothing visible changes: key → why. They are not tried.
EQUIVALENT: Mapping[str, str] = {
    "maps.c: BPF_HASH(endpoints4, u32, struct endpoint, 4096); | constant: 4096 -> 4097": _MAP,
    "maps.c: BPF_HASH(endpoints6, union address6, struct endpoint, 4096);"
    " | constant: 4096 -> 4097": _MAP,
    "maps.c: BPF_HASH(sources, u32, struct source, 4096); | constant: 4096 -> 4097": _MAP,
    "maps.c: BPF_ARRAY(config, struct node_config, 1); | constant: 1 -> 2": _MAP,
    "maps.c: BPF_PERCPU_ARRAY(neighbour_used, struct neighbour_use, 256);"
    " | constant: 256 -> 257": _MAP,
    "maps.c: BPF_PERCPU_ARRAY(error_budgets, struct error_budget, 1); | constant: 1 -> 2": _MAP,
    "forward.c: #define REFRESH_JIFFIES 64 /* 64 ms to 640 ms, by the kernel's HZ */"
    " | constant: 64 -> 65": _CLOCK,
    "icmp_error.c: #define BUDGET_JIFFIES 64 /* 64 ms to 640 ms, by the kernel's HZ */"
    " | constant: 64 -> 65": _CLOCK,
}
_PORTS = "a rule or a multipath route that looks at ports or protocol"
_TOS = "a rule that looks at TOS"
_FLOW = "a multipath route that hashes the flow label"
_FAMILY = "an IPv4 route whose next hop is an IPv6 address"
#: Rows of the full datapath, which is the next issue: key → what would show it. They are tried,
#: and count where they are caught.
NEXT_ISSUE: Mapping[str, str] = {
    "forward.c: fib.sport = pkt->sport; | statement: deleted": _PORTS,
    "forward.c: fib.dport = pkt->dport; | statement: deleted": _PORTS,
    "forward.c: fib.l4_protocol = pkt->protocol; | statement: deleted": _PORTS,
    "forward.c: if (pkt->has_ports) { | condition: (pkt->has_ports) -> (!(pkt->has_ports))": _PORTS,
    "parse.h: pkt->has_ports = true; | statement: deleted": _PORTS,
    "parse.h: pkt->has_ports = true; [2] | statement: deleted": _PORTS,
    "parse.h: pkt->sport = ports[0]; | statement: deleted": _PORTS,
    "parse.h: pkt->sport = ports[0]; | constant: 0 -> 1": _PORTS,
    "parse.h: pkt->dport = ports[1]; | statement: deleted": _PORTS,
    "parse.h: pkt->sport = copied[0]; | statement: deleted": _PORTS,
    "parse.h: pkt->sport = copied[0]; | constant: 0 -> 1": _PORTS,
    "parse.h: pkt->dport = copied[1]; | statement: deleted": _PORTS,
    "forward.c: fib.tos = pkt->tos; | statement: deleted": _TOS,
    "read_packet.c: pkt->tos = ip->tos; | statement: deleted": _TOS,
    "forward.c: fib.flowinfo = pkt->flowinfo; | statement: deleted": _FLOW,
    "read_packet.c: pkt->flowinfo = *(__be32 *)ip & bpf_htonl(0x0fffffff);"
    " | statement: deleted": _FLOW,
    "read_packet.c: pkt->flowinfo = *(__be32 *)ip & bpf_htonl(0x0fffffff);"
    " | constant: 0x0fffffff -> 0x10000000": _FLOW,
    "forward.c: nexthop.nh_family = fib.family; | statement: deleted": _FAMILY,
}
EXCUSED: Mapping[str, str] = {**EQUIVALENT, **NEXT_ISSUE}
