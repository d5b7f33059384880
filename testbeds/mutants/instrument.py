# SPDX-License-Identifier: Apache-2.0
"""Faults of what the suites look with, and the assertion that must catch each."""

from __future__ import annotations

from harness.bpf.source import Patch
from harness.topology import POD_DEVICES
from harness.topology.netkit import SCRUB_NONE
from testbeds.mutants import services as s
from testbeds.mutants import targets as t
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

_DEVICES = POD_DEVICES[:2]
#: Faults of the program by which the suites call a redirect helper, bpf/misuse.c. Where a test
#: calls it in the bundled programs, of those.
_WRONG: tuple[Fault, ...] = (
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

_FROM_EGRESS = "one_node/test_egress::test_hr82_from_egress_out_of_another_pod"
_WRONG_FLAGS = "one_node/test_egress::test_hr82_refused"
_FROM_NIC = "two_node/test_egress::test_hr82_from_the_nic_out_of_a_pod"
_PEER_CALL = "redirect_peer(call->ifindex, call->flags)"
_INTO_THE_POD = patch("misuse.c", _PEER_CALL, "redirect_peer(call->ifindex, 0)")
_BOTH_WAYS = patch("misuse.c", _PEER_CALL, "redirect_peer(call->ifindex, call->flags | 1)")
#: The same of BPF_F_EGRESS: without the flag, and with one too many.
_OUT_OF_THE_POD: tuple[Fault, ...] = (
    Fault(
        "redirect_peer without BPF_F_EGRESS",
        _INTO_THE_POD,
        (
            *(Catch(_FROM_EGRESS, "sent, and sent again", {"device": d}) for d in _DEVICES),
            *(Catch(_WRONG_FLAGS, "returned", {"device": d, "wrong": "both-ways"})
              for d in _DEVICES),
        ),
    ),
    Fault(
        "redirect_peer with BPF_F_EGRESS and BPF_F_INGRESS",
        _BOTH_WAYS,
        (
            *(Catch(_FROM_EGRESS, "returned", {"device": d}) for d in _DEVICES),
            *(Catch(_WRONG_FLAGS, "returned", {"device": d, "wrong": "peer-down"})
              for d in _DEVICES),
        ),
    ),
    Fault(
        "redirect_peer from the NIC without BPF_F_EGRESS",
        _INTO_THE_POD,
        (Catch(_FROM_NIC, "lost"),),
        "bpf",
    ),
    Fault(
        "redirect_peer from the NIC with BPF_F_EGRESS and BPF_F_INGRESS",
        _BOTH_WAYS,
        (Catch(_FROM_NIC, "returned"),),
        "bpf-netkit",
    ),
)  # fmt: skip

MISUSE = (*_WRONG, *_OUT_OF_THE_POD)

#: What else is broken is not a program: test_controls.py breaks it.
SYNC_THAT_FORGETS_NOTHING = Catch(
    "one_node/test_router_duties::test_hr20_address_that_the_node_lost_is_looked_up_again",
    "lookups",
    families=(4,),
)
#: Datapath → what a `sync` that does its work once does not do, and the assertion that notices.
NOT_SYNCED = (
    ("bpf", "maps", Catch(t.ANEW, "lost", families=(4,))),
    ("bpf", "hooks", Catch(t.ANEW, "legs", families=(4,))),
    ("legacy", "gateway", Catch(
        "one_node/test_anew::test_hr16_gateway_of_pods_made_anew", "lost", families=(4,)
    )),
    ("bpf", "maps", Catch(t.ANEW_FAR, "lost", families=(4,))),
    ("bpf", "hooks", Catch(t.ANEW_FAR, "forward hook", families=(4,))),
    ("bpf", "maps", Catch(
        t.ADDRESSES + "test_hr45_an_address_that_went_to_another_pod", "lost", families=(4,)
    )),
)  # fmt: skip
ONE_TOO_MANY = Catch(t.ANEW, "attachments", families=(4,))
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
WRONG_END = Catch(
    "one_node/test_netkit::test_hr79_legs_and_ttl_same_node", "legs", {"device": "netkit"}, (4,)
)
KNOWN_VERDICT = Catch(
    "one_node/test_netkit::test_hr79_unknown_verdict", "lost", {"hook": "netkit"}, (4,)
)
NO_SCRUB = Catch(
    "one_node/test_netkit::test_hr80_mark_and_priority_in_the_program", "mark and priority",
    {"scrub": SCRUB_NONE}, (4,),
)  # fmt: skip
SPLAT = Catch("test_kernel_log::test_hr44_no_kernel_splat_during_the_run", "splats", families=())

_LEGACY = "one_node/test_legacy::"
_COUNT = _LEGACY + "test_hr03_rules_in_the_namespace"
NO_RULES = (
    *(Catch(_COUNT, "rules", {"services": services}) for services in (0, 100)),
    Catch(_LEGACY + "test_hr03_tracks_by_its_own_rules", "conntrack"),
    Catch(_LEGACY + "test_hr03_invalid_is_dropped", "interfaces"),
)
NO_SERVICES = Catch(_COUNT, "rules", {"services": 100})
INVALID_PASSES = (
    Catch(_COUNT, "rule for INVALID", {"services": 0}),
    Catch(_LEGACY + "test_hr03_invalid_is_dropped", "interfaces"),
)
_REMOVED = "one_node/test_services::test_hr58_backend_is_removed"
#: What a node is told of its services, and does not heed.
NOT_SERVED = (
    Catch(_REMOVED, "new flows"),
    Catch("one_node/test_services::test_hr59_a_client_keeps_its_backend", "backend is gone"),
)
NOT_FORGOTTEN = Catch(_REMOVED, "UDP flows that were there")
ALL_FORGOTTEN = Catch(_REMOVED, "TCP connection that was there")

KEPT_BACKENDS = Catch(s.KEPT, "backend is gone")

#: What is broken → what must notice.
BROKEN: dict[str, tuple[Catch, ...]] = {
    "the agent keeps flows to backends that are gone": (NOT_FORGOTTEN,),
    "the agent lets clients keep backends that are gone": (KEPT_BACKENDS,),
    "`sync` forgets no address": (SYNC_THAT_FORGETS_NOTHING,),
    "`sync` does its work once": tuple(catch for _, _, catch in NOT_SYNCED),
    "`sync` leaves a program where it was not": (ONE_TOO_MANY,),
    "a datapath needs a helper that it does not call": (REQUIREMENT_NOT_CALLED,),
    "the decision ignores a requirement": (REQUIREMENT_IGNORED,),
    "a probe comes behind the datapath's programs": NOT_FIRST,
    "a probe is not detached": (NOT_DETACHED,),
    "the kernel's log has a warning": (SPLAT,),
    "a netkit program is attached to the wrong end": (WRONG_END,),
    "a verdict that netkit knows": (KNOWN_VERDICT,),
    "a netkit pair is told no scrub policy": (NO_SCRUB,),
    "a family has no rules on the legacy path": NO_RULES,
    "the legacy path has no services": (NO_SERVICES,),
    "the legacy path accepts what is INVALID": INVALID_PASSES,
    "`serve` changes nothing": NOT_SERVED,
    "`serve` forgets no flow to a backend that is gone": (NOT_FORGOTTEN,),
    "`serve` forgets every flow": (ALL_FORGOTTEN,),
}
