# SPDX-License-Identifier: Apache-2.0
"""Faults of what the suites look with, and the assertion that must catch each."""

from __future__ import annotations

from harness.bpf.source import Patch
from testbeds.mutants.mutant import Catch, Fault, patch

_HELPERS = "one_node/test_helpers::"
_CALLED_BUT_LET_GO = patch("misuse.c", "	return result;", "	return TC_ACT_OK;")
_MISDIRECTED = _HELPERS + "test_hr39_redirect_peer_misdirected"
_MISUSED = _HELPERS + "test_hr48_helpers_misused"
_COUNTED = _HELPERS + "test_hr48_what_a_helper_refuses_is_counted"
_READDRESSED = (
    "		{ u8 mac[6] = {2}; bpf_skb_store_bytes(skb, 0, mac, 6, 0); }\n"
    "		result = redirect_neigh("
)

#: Faults of the program by which the suites call a redirect helper, bpf/misuse.c. Where a test
#: calls it in the bundled programs, of those.
MISUSE: tuple[Fault, ...] = (
    Fault(
        "what a misused helper returns is not heeded",
        _CALLED_BUT_LET_GO,
        (
            *(
                Catch(_MISDIRECTED, "lost", {"wrong": wrong})
                for wrong in ("no-veth", "same-namespace", "no-device")
            ),
            *(
                Catch(_MISUSED, "lost", {"misuse": misuse})
                for misuse in ("peer-unknown-flags", "neigh-unknown-flags", "peer-at-egress")
            ),
        ),
    ),
    # Nothing gets through to a peer that is down; what went elsewhere instead must be seen.
    Fault(
        "the helper is called with the device it is called on",
        patch("misuse.c", "redirect_peer(call->ifindex", "redirect_peer(skb->ifindex"),
        (Catch(_MISDIRECTED, "legs", {"wrong": "peer-down"}),),
    ),
    Fault(
        "the helper is called with the next device",
        patch("misuse.c", "redirect_peer(call->ifindex", "redirect_peer(call->ifindex + 1"),
        (Catch(_HELPERS + "test_hr39_redirect_peer_well_directed", "lost"),),
    ),
    Fault(
        "a helper's refusal is not counted",
        patch("count.c", "	if (action != TC_ACT_REDIRECT)\n", "	if (action < 0)\n"),
        tuple(
            Catch(_COUNTED, "drops", {"helper": helper})
            for helper in ("redirect_peer", "bpf_redirect")
        ),
    ),
    Fault(
        "a multicast frame is readdressed before the helper sees it",
        (Patch("misuse.c", "		result = redirect_neigh(call", _READDRESSED + "call"),),
        (
            Catch(
                _HELPERS + "test_hr48_redirect_neigh_of_a_multicast_frame",
                "arrived",
                {"destination": "multicast"},
            ),
        ),
    ),
    Fault(
        "redirect_neigh does not ask the routes",
        patch(
            "misuse.c",
            "redirect_neigh(call->ifindex, NULL, 0, call->flags)",
            "bpf_redirect(call->ifindex, 0)",
        ),
        (
            Catch(
                _HELPERS + "test_hr48_redirect_neigh_where_the_route_refuses",
                "arrived",
                {"route": "refusing"},
            ),
        ),
    ),
)

#: What else is broken is not a program: test_controls.py breaks it.
SYNC_THAT_FORGETS_NOTHING = Catch(
    "one_node/test_router_duties::test_hr20_address_that_the_node_lost_is_looked_up_again",
    "lookups",
    families=(4,),
)
REQUIREMENT_NOT_CALLED = Catch(
    "one_node/test_decision::test_hr06_a_helper_a_datapath_does_not_call_is_no_requirement",
    "decision",
    families=(4,),
)
REQUIREMENT_IGNORED = Catch(
    "one_node/test_decision::test_hr06_unmet_requirement_means_legacy",
    "requirements not met",
    {"requirement": "routing"},
    (4,),
)
_HOOKS = "one_node/test_hooks::"
NOT_FIRST = (
    Catch(_HOOKS + "test_hr78_listed_by_link_in_order", "order", families=(4,)),
    Catch(
        _HOOKS + "test_hr78_one_that_says_next_is_harmless",
        "runs before the datapath",
        families=(4,),
    ),
    Catch("one_node/test_border::test_hr37_mark_and_tstamp_across_the_border", "mark", {}, (4,)),
)
NOT_DETACHED = Catch(_HOOKS + "test_hr78_detached_at_once", "detached", families=(4,))
SPLAT = Catch("test_kernel_log::test_hr44_no_kernel_splat_during_the_run", "splats", families=())

#: What is broken → what must notice.
BROKEN: dict[str, tuple[Catch, ...]] = {
    "`sync` forgets no address": (SYNC_THAT_FORGETS_NOTHING,),
    "a datapath needs a helper that it does not call": (REQUIREMENT_NOT_CALLED,),
    "the decision ignores a requirement": (REQUIREMENT_IGNORED,),
    "a probe comes behind the datapath's programs": NOT_FIRST,
    "a probe is not detached": (NOT_DETACHED,),
    "the kernel's log has a warning": (SPLAT,),
}
