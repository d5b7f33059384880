# SPDX-License-Identifier: Apache-2.0
"""Mutants: policy and services in one build."""

from __future__ import annotations

from harness.bpf.source import Patch
from testbeds.mutants.mutant import Catch, Mutant, both, patch

_FILE = "one_node/test_stages_together::"
_BYPASS = _FILE + "test_hr09_legs_as_legacy_bypass_as_bpf_with_every_stage"
_BACKEND = _FILE + "test_hr35_policy_judges_the_backend"
_EVICTED = _FILE + "test_hr42_an_evicted_entry_of_a_services_flow"
_FIRST = "two_node/test_services::test_hr35_egress_is_denied_before_no_backend_is_told"

_SERVED = "				   serve@(&at->original, program, now, &at->partner);\n"
_BEGUN = "		if (!reason)\n			begun@(at, false);\n"
_TURNED = (
    "			if (!inbound && flow->state.translated)\n"
    "				become@(pkt, &flow->partner);"
)
_CLOSELY = "	if (!inbound && at->state.translated)\n		become@(pkt, &at->partner);"
_THERE = "	there = flows@.lookup((struct tuple@ *)partner);\n	if (there"
_ITS_OWN = " && there->state.reply == fresh.state.reply) {"
_PAIR = "	renew_pair@(&at->key, &at->partner, &at->state);\n"


def _served(then: str) -> tuple[Patch, ...]:
    """Something more, once a new flow's service was looked for."""
    return both("police.c", _SERVED, f"{_SERVED}		{then}\n")


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "bpf_redirect_peer in bpf-redirect, with every stage",
        patch(
            "local_delivery.c", "bpf_redirect(pod->ifindex, 0)", "redirect_peer(pod->ifindex, 0)"
        ),
        (Catch(_BYPASS, "legs"),),
        "bpf-redirect",
    ),
    Mutant(
        "legacy poses as bpf-redirect",
        (),
        (Catch(_BYPASS, "hooks"),),
        "legacy",
        posing_as="bpf-redirect",
    ),
    Mutant(
        "policy judges the front",
        both("police.c", _BEGUN, ""),
        (Catch(_BACKEND, "arrived"),),
    ),
    Mutant(
        "no backend: said before policy is asked",
        _served("if (reason == NO_BACKEND)\n			return NO_BACKEND;"),
        (Catch(_FIRST, "legs"),),
    ),
    Mutant(
        "no backend: dropped before policy is asked",
        _served("if (reason == NO_BACKEND)\n			return drop(program, DROP_NO_BACKEND);"),
        (Catch(_FIRST, "drops"),),
    ),
    Mutant(
        "replies of backends stay theirs, with every stage",
        (
            *both("police.c", _TURNED, _TURNED.replace("!inb", "!flow->state.reply && !inb")),
            *both("police.c", _CLOSELY, _CLOSELY.replace("!inb", "!at->state.reply && !inb")),
        ),
        (Catch(_EVICTED, "answered"),),
    ),
    Mutant(
        "what a backend begins is dropped",
        _served("if (at->original.sport == bpf_htons(8080))\n			return TC_ACT_SHOT;"),
        (Catch(_EVICTED, "evicted way back"),),
    ),
    Mutant(
        "another flow's entry in the way of a pair is renewed",
        both("flow.c", _THERE + _ITS_OWN, _THERE + ") {"),
        (Catch(_EVICTED, "healed by what asks"),),
    ),
    Mutant(
        "a pair that lost one is not healed, with every stage",
        both("police.c", _PAIR,
             "	if (!known || flows@.lookup(&at->partner))\n	" + _PAIR),
        (Catch(_EVICTED, "healed by what answers"),),
    ),
)  # fmt: skip
