# SPDX-License-Identifier: Apache-2.0
"""Mutants: datapaths that claim what they are not, and for every claim one that lacks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.datapath.claims import BOTH
from harness.topology import Family
from testbeds.mutants import services as s
from testbeds.mutants import targets as t
from testbeds.mutants.mutant import Catch, Mutant

_IPV4 = frozenset({Family.ipv4})


def _liar(name: str, datapath: str, claims: Mapping[str, object], *catches: Catch) -> Mutant:
    return Mutant(name, (), catches, datapath, claims=claims)


MUTANTS: tuple[Mutant, ...] = (
    _liar(
        "the stack claims to be bypassed", "legacy",
        {"bypasses_stack": True, "delivers": "lxc", "forwards": "redirect"},
        Catch(t.B1 + "test_hr01_programs_attached_and_hit", "run counts"),
        Catch(t.B1 + "test_hr02_netfilter_hooks", "hooks"),
        Catch(t.B2 + "test_hr02_netfilter_hooks", "hooks"),
        Catch(s.NEAR, "conntrack"), Catch(s.FAR, "conntrack"), Catch(s.NODE_PORT, "conntrack"),
    ),
    _liar(
        "claims to show the client to a NodePort's backend", "legacy", {"shows_client": True},
        Catch(s.OUTSIDE, "legs", {"front": "node-port"}),
    ),
    _liar(
        "claims to deliver through the lxc", "bpf", {"delivers": "lxc", "keeps_mark": False},
        Catch(t.LEGS, "legs"),
        Catch(t.B1 + "test_hr09_legs_as_legacy_bypass_as_bpf", "legs"),
        Catch(
            "one_node/test_decision::test_hr06_services_asked_for_of_who_has_them_mean_bpf", "legs"
        ),
    ),
    _liar(
        "claims to deliver past the lxc", "bpf-redirect", {"delivers": "peer"},
        Catch(t.LEGS, "legs"), Catch(t.LEGS_FAR, "legs"), Catch(t.ANEW_FAR, "legs"),
    ),
    _liar(
        "claims to deliver through the lxc what comes off the wire", "bpf",
        {"delivers_off_wire": "lxc", "keeps_mark": False},
        Catch(t.LEGS_FAR, "legs"), Catch(t.MANY_FAR, "legs", {"count": 1}),
    ),
    _liar(
        "claims bpf_fib_lookup where bpf_redirect_neigh looks up", "bpf-skip-fib",
        {"forwards": "redirect"},
        Catch(t.B2 + "test_hr01_programs_attached_and_hit", "some by bpf_redirect"),
    ),
    _liar(
        "claims to be attached by TCX", "bpf", {"attaches": "tcx"},
        Catch(t.HOOKS + "test_hr78_listed_by_link_in_order", "hook and link"),
        Catch(t.HOOKS + "test_hr78_no_qdisc_on_the_device", "qdiscs"),
    ),
    _liar(
        "claims to find pods by the node's routes", "bpf", {"local_pods": "routes"},
        Catch(t.B1 + "test_hr43_host_route_deleted_and_rp_filter_on", "lost"),
    ),
    _liar(
        "claims to look up the node's addresses", "bpf-skip-fib", {"node_addresses": "lookup"},
        Catch(t.FIB + "test_hr20_address_of_the_node_that_is_no_pod", "lost"),
    ),
    _liar(
        "claims to be attached to netkit", "bpf",
        {"attaches": "netkit", "delivers": "netkit", "keeps_mark": False, "keeps_tstamp": False},
        Catch(t.LEGS, "legs"),
        Catch(t.NETKIT, "legs", {"device": "netkit"}),
    ),
    _liar(
        "claims to masquerade", "bpf", {"masquerade": True},
        Catch("two_node/test_legs::test_hr08_pod_and_world", "legs"),
    ),
    _liar(
        "claims not to keep the mark", "bpf", {"keeps_mark": False},
        Catch(t.BORDER + "test_hr37_mark_and_tstamp_across_the_border", "mark"),
    ),
    _liar(
        "claims not to keep the timestamp", "bpf", {"keeps_tstamp": False},
        Catch(t.BORDER + "test_hr37_mark_and_tstamp_across_the_border", "tstamp"),
    ),
    _liar(
        "claims to refuse frames not addressed to the NIC", "bpf", {"accepts_otherhost": False},
        Catch(t.OTHERHOST, "replies"),
    ),
    _liar(
        "claims to check what pods send from", "legacy", {"source_check": BOTH},
        Catch(t.D1 + "test_hr45_spoofed_source", "legs", {"claimed": "pod2"}),
    ),
    _liar(
        "claims to answer for refusing routes", "bpf", {"refusing_routes": "tell"},
        Catch(t.FIB + "test_hr19_refusing_routes", "legs", {"kind": "prohibit"}),
    ),
    _liar(
        "claims to refuse by routes in silence", "legacy", {"refusing_routes": "drop"},
        Catch(t.FIB + "test_hr19_refusing_routes", "legs", {"kind": "prohibit"}),
    ),
    _liar(
        "claims to obey refusing routes", "bpf-skip-fib", {"refusing_routes": "drop"},
        # IPv6's lookup obeys them when bound to a device, too.
        Catch(t.FIB + "test_hr19_refusing_routes", "legs", {"kind": "prohibit"}, (4,)),
    ),
    _liar(
        "claims to answer where no route is", "bpf-skip-fib", {"tells_no_route": BOTH},
        Catch(t.FIB + "test_hr21_no_route", "errors"),
    ),
    _liar(
        "claims to obey an lxc's forwarding", "bpf-skip-fib", {"obeys_forwarding": BOTH},
        Catch(t.FIB + "test_hr22_forwarding_off_on_the_lxc", "lost"),
    ),
    _liar(
        "claims to forward out of any device", "bpf-skip-fib", {"any_device": True},
        Catch(t.NEIGH + "test_hr28_next_hops_that_share_an_address", "in use"),
    ),
)  # fmt: skip

#: Claim → the mutant that makes it falsely, by its name.
FALSE: Mapping[str, str] = {
    "bypasses_stack": "the stack claims to be bypassed",
    "delivers": "claims to deliver through the lxc",
    "delivers_off_wire": "claims to deliver through the lxc what comes off the wire",
    "attaches": "claims to be attached by TCX",
    "forwards": "claims bpf_fib_lookup where bpf_redirect_neigh looks up",
    "local_pods": "claims to find pods by the node's routes",
    "node_addresses": "claims to look up the node's addresses",
    "masquerade": "claims to masquerade",
    "services": "fronts not found",
    "shows_client": "claims to show the client to a NodePort's backend",
    "keeps_mark": "claims not to keep the mark",
    "keeps_tstamp": "claims not to keep the timestamp",
    "accepts_otherhost": "claims to refuse frames not addressed to the NIC",
    "counts": "hits not counted",
    "decrements_ttl": "TTL not decremented on delivery",
    "time_exceeded": "time exceeded not sent",
    "quotes_in_full": "ICMP error quotes too little",
    "limits_errors": "time exceeded without a limit",
    "too_big": "no MTU check",
    "big_tcp": "a jumbogram's header taken for an option",
    "fragments": "too big: dropped in silence",
    "answers_arp": "gateway not answered for",
    "answers_nd": "gateway not answered for",
    "answers_gateway_ping": "gateway's pings not answered",
    "source_check": "claims to check what pods send from",
    "several_addresses": "a pod's first addresses alone taken for its own",
    "wire_source_check": "loopback sources delivered from the wire",
    "header_check": "malformed headers passed on",
    "options_to_stack": "options not left to the stack",
    "keeps_link_scope": "link scope sent out of the NIC",
    "refusing_routes": "claims to answer for refusing routes",
    "tells_no_route": "claims to answer where no route is",
    "obeys_forwarding": "claims to obey an lxc's forwarding",
    "any_device": "claims to forward out of any device",
    "refreshes_neighbours": "neighbours in use never refreshed",
    "policy": "policy counts its denials and lets them pass",
}
#: Claims of which the only false value is refused before anything is built.
REFUSED = frozenset({"routing"})

#: Claim → (a mutant that truly lacks it, what it claims then). The claims that are not here, a
#: bundled datapath declines.
DECLINING: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "decrements_ttl": ("TTL not decremented on delivery", {"decrements_ttl": False}),
    "time_exceeded": ("time exceeded not sent", {"time_exceeded": frozenset()}),
    "too_big": ("too big: dropped in silence", {"too_big": frozenset(), "fragments": False}),
    "fragments": ("too big: dropped in silence", {"too_big": frozenset(), "fragments": False}),
    "answers_arp": ("gateway not answered for", {"answers_arp": False, "answers_nd": False}),
    "answers_nd": ("gateway not answered for", {"answers_arp": False, "answers_nd": False}),
    "answers_gateway_ping": (
        "gateway's pings not answered", {"answers_gateway_ping": frozenset()},
    ),
    "big_tcp": ("a jumbogram's header taken for an option", {"big_tcp": frozenset()}),
    "several_addresses": (
        "a pod's first addresses alone taken for its own", {"several_addresses": False},
    ),
    "wire_source_check": (
        "loopback sources delivered from the wire", {"wire_source_check": frozenset()},
    ),
    "header_check": ("malformed headers passed on", {"header_check": frozenset()}),
    "options_to_stack": ("options not left to the stack", {"options_to_stack": frozenset()}),
    "keeps_link_scope": (
        "link scope sent out of the NIC", {"keeps_link_scope": False, "options_to_stack": _IPV4},
    ),
    "refreshes_neighbours": ("neighbours in use never refreshed", {"refreshes_neighbours": False}),
    "policy": ("policy counts its denials and lets them pass", {"policy": False}),
    "services": ("fronts not found", {"services": frozenset()}),
}  # fmt: skip
