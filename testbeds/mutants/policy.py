# SPDX-License-Identifier: Apache-2.0
"""Mutants: policy and its flows."""

from __future__ import annotations

from harness.bpf.source import Patch
from testbeds.mutants.mutant import Catch, Mutant, both, patch

_ONE, _TWO = "one_node/test_policy::", "two_node/test_policy::"
_FLOWS = "one_node/test_policy_flows::"
_NOTHING = "test_hr49_policy_without_a_rule_changes_nothing"
_ONE_WAY = _ONE + "test_hr49_selected_in_one_direction_is_open_in_the_other"
_INGRESS, _EGRESS = _ONE + "test_hr34_ingress_is_denied", _ONE + "test_hr35_egress_is_denied"
_INGRESS_FAR = _TWO + "test_hr34_ingress_is_denied_off_the_wire"
_EGRESS_FAR = _TWO + "test_hr35_egress_is_denied_before_anything_is_resolved"
_RULES = _ONE + "test_hr50_rules_by_network_protocol_and_port"
_RULES_OUT = _ONE + "test_hr50_egress_rules_look_at_the_other_end"
_REPLIES = _ONE + "test_hr51_replies_pass_and_what_begins_elsewhere_does_not"
_REPLIES_FAR = _TWO + "test_hr51_replies_off_the_wire"
_ERRORS = _FLOWS + "test_hr52_a_pods_own_errors"
_ERRORS_FAR = _TWO + "test_hr52_errors_from_a_router_on_the_way"
_PARTS = _FLOWS + "test_hr53_fragments_follow_their_first"
_COUNTED = _FLOWS + "test_hr54_every_denial_is_counted_once"
_ROUND = _TWO + "test_hr55_no_way_round_policy"
_CHANGED = _ONE + "test_hr56_changed_rules_reach_established_flows"
_EXPIRES = _FLOWS + "test_hr57_a_flow_expires"
_ENDS = _FLOWS + "test_hr57_a_connection_ends"
_HALF = _FLOWS + "test_hr57_half_closed_is_open_and_closing_answers"
_RENEWED = _FLOWS + "test_hr57_traffic_renews_a_flow_and_heals_its_pair"
_ABSENT = "one_node/test_stages::test_hr86_nothing_asked_for_nothing_compiled_in"
_DENY, _DEFAULT = {"verdict": "deny"}, {"verdict": "allow"}
_RESET, _REFUSED = {"end": "reset by the client"}, {"end": "reset by the server"}
_CLOSED = {"end": "closed by both"}


def _two(file: str, new: str, *olds: str) -> tuple[Patch, ...]:
    """Texts, of IPv4's part and of IPv6's, that give way to the same."""
    return tuple(Patch(file, old, new) for old in olds)


_HERE = (
    "	action = police@(skb, &pkt, PROGRAM_FROM_CONTAINER, false, true);\n"
    "	if (action != TC_ACT_OK)\n"
)
_WIRE = (
    "	action = police@(skb, &pkt, PROGRAM_FROM_NETDEV, false, is_pod(target));\n"
    "	if (action != TC_ACT_OK)\n"
)
_JUDGED = "		reason = refused@(&at->original, known || t->begins);\n"
_PAIR = "	renew_pair@(&at->key, &at->partner, &at->state);\n"
_QUOTED = "	if (!t->error || quoted@(skb, pkt, t, program, at)) {"
_READ = "	at->original.src = pkt->src@;\n"
_KNOWN = "		flow = flows@.lookup(&at->key);\n		known = flow &&"
_KEY = "	struct rule_key key = { ifindex, identity, port, protocol, direction };"
_BACK = (
    "	there = flows@.lookup((struct tuple@ *)partner);\n"
    "	if (there && there->state.reply == fresh.state.reply) {\n"
    "		renew(&there->state, state);\n"
)

_RULES_OF_PODS: tuple[Mutant, ...] = (
    Mutant(
        "policy denies who is not selected",
        patch("policy.c", "	return rules.lookup(&key);", "	return rules.lookup(&key) || true;"),
        (
            Catch(_ONE + _NOTHING, "lost"),
            Catch(_TWO + _NOTHING, "lost"),
            Catch(_ONE_WAY, "lost"),
            Catch(_CHANGED, "allowed"),
            Catch(_ROUND, "open"),
        ),
    ),
    Mutant(
        "policy counts its denials and lets them pass",
        (
            *both("from_container.c", _HERE, _HERE.replace("(action", "(0 && action")),
            *both("from_netdev.c", _WIRE, _WIRE.replace("(action", "(0 && action")),
        ),
        (
            Catch(_INGRESS, "legs", _DENY),
            Catch(_INGRESS, "legs", _DEFAULT),
            Catch(_EGRESS, "legs", _DENY),
            Catch(_EGRESS, "legs", _DEFAULT),
            Catch(_INGRESS_FAR, "legs"),
            Catch(_EGRESS_FAR, "legs"),
            Catch(_ONE_WAY, "lost"),
            Catch(_ROUND, "denied"),
        ),
    ),
    Mutant(
        "ingress policy looked up with the sender",
        both("policy.c", "(address@ *)&flow->dst)", "(address@ *)&flow->src)"),
        (Catch(_INGRESS, "legs", _DENY), Catch(_ONE_WAY, "lost")),
    ),
    Mutant(
        "policy judges TCP alone",
        both("police.c", _JUDGED, _JUDGED + "if (t->protocol != IPPROTO_TCP) reason = 0;\n"),
        (Catch(_INGRESS, "legs", _DENY), Catch(_EGRESS, "legs", _DENY), Catch(_RULES, "arrived")),
    ),
    Mutant(
        "policy judges pings alone",
        both("police.c", _JUDGED, _JUDGED + "if (t->sport && t->dport) reason = 0;\n"),
        (
            Catch(_INGRESS, "arrived", _DENY),
            Catch(_INGRESS, "arrived", _DEFAULT),
            Catch(_EGRESS, "arrived", _DENY),
            Catch(_EGRESS, "arrived", _DEFAULT),
            Catch(_REPLIES, "begun elsewhere"),
            Catch(_CHANGED, "removed"),
        ),
    ),
    Mutant(
        "longest prefix ignored",
        (
            Patch("policy.c", "network4 host = { 32, address }", "network4 host = { 24, address }"),
            Patch("policy.c", "host = { 128, *address }", "host = { 64, *address }"),
        ),
        (Catch(_RULES, "arrived"), Catch(_RULES_OUT, "arrived")),
    ),
    Mutant(
        "protocol of a rule ignored",
        patch("policy.c", _KEY, _KEY + "\n	if (protocol == IPPROTO_TCP) key.protocol = 17;"),
        (Catch(_RULES, "arrived"),),
    ),
    Mutant(
        "port of a rule in host order",
        patch("policy.c", _KEY, _KEY.replace("port", "bpf_ntohs(port)", 1)),
        (Catch(_RULES, "arrived"), Catch(_RULES_OUT, "arrived")),
    ),
    Mutant(
        "allow beats deny",
        patch("policy.c", "	return *rule == RULE_ALLOW ? 0 :", "	return *rule ? 0 :"),
        (Catch(_RULES, "arrived"), Catch(_INGRESS, "legs", _DENY)),
    ),
    Mutant(
        "egress judged by the sender's own address",
        both("policy.c", "identity@(PASS@(flow->dst)), flow", "identity@(PASS@(flow->src)), flow"),
        (Catch(_RULES_OUT, "arrived"),),
    ),
    Mutant(
        "rules that changed leave established flows alone",
        (
            Patch("flow.c", "state->generation == config->generation && ", ""),
            *both(
                "police.c", "(!known || at->state.generation != config->generation)) {\n" + _JUDGED,
                "!known) {\n" + _JUDGED,
            ),
        ),
        (Catch(_CHANGED, "removed"),),
    ),
    Mutant(
        "denials counted in the other direction",
        patch("policy.c", "REFUSED(direction == DIRECTION", "REFUSED(direction != DIRECTION"),
        (Catch(_COUNTED, "counted"), Catch(_INGRESS_FAR, "drops")),
    ),
    Mutant(
        "denials not counted",
        both("police.c", _JUDGED, _JUDGED + "		if (reason > 0) return TC_ACT_SHOT;\n"),
        (Catch(_COUNTED, "counted"), Catch(_INGRESS_FAR, "drops"), Catch(_ROUND, "hits")),
    ),
    Mutant(
        "what the stack sends to a pod not judged",
        patch("to_container.c", "	bool own = !skb", "	bool own = true || !skb"),
        (Catch(_ROUND, "denied"),),
    ),
    Mutant(
        "a node kept from its own pods",
        patch("to_container.c", "	bool own = !skb", "	bool own = false && !skb"),
        (Catch(_ONE_WAY, "lost"),),
    ),
    Mutant(
        "what has options leaves a pod unjudged",
        (
            Patch("police.c", "	if (link_scope4(", "	if (has_options4(skb) || link_scope4("),
            Patch("police.c", "	if (link_scope6(", "	if (has_options6(pkt) || link_scope6("),
        ),
        (Catch(_ROUND, "denied"),),
    ),
    Mutant(
        "policy compiled in always",
        patch(
            "compat.h", "#define COMPAT_H\n",
            "#define COMPAT_H\n#ifndef POLICY\n#define POLICY\n#define FLOWS 16384\n#endif\n",
        ),
        (Catch(_ABSENT, "programs", {"stage": "policy"}),),
    ),
)  # fmt: skip

_OF_FLOWS: tuple[Mutant, ...] = (
    Mutant(
        "flags of a jumbogram read as if it were none",
        patch("transport.c", "	if (offset == usual && data + usual", "	if (data + usual"),
        (
            Catch(
                "two_node/test_mtu::test_hr57_no_part_of_a_large_segment_is_a_reset", "reset",
                families=(6,),
            ),
        ),
    ),
    Mutant(
        "way back not remembered",
        both("flow.c", "		flows@.update((struct tuple@ *)partner, &fresh);", "		;"),
        (
            Catch(_REPLIES, "lost"),
            Catch(_REPLIES_FAR, "lost"),
            Catch(_EXPIRES, "answered in time"),
            Catch(_ENDS, "begun", _CLOSED),
            Catch(_HALF, "half closed"),
        ),
    ),
    Mutant(
        "replies judged by rules",
        (
            Patch("flow.c", "	return config &&", "	return config && !state->reply &&"),
            *both("police.c", _KNOWN, _KNOWN + " !flow->state.reply &&"),
        ),
        (Catch(_REPLIES, "lost"), Catch(_REPLIES_FAR, "lost")),
    ),
    Mutant(
        "any packet of a known flow taken for a reply",
        both("police.c", _JUDGED, "		if (known) at->original = at->partner;\n" + _JUDGED),
        (Catch(_CHANGED, "removed"),),
    ),
    Mutant(
        "what was refused is remembered",
        both(
            "police.c", _JUDGED,
            _JUDGED + "		at->state.generation = config->generation;\n"
            "		at->state.quiet = at->state.expires = now + 9999;\n"
            "		if (reason > 0 && !known && t->begins) { " + _PAIR
            + "		return drop(program, reason - REFUSED(0)); }\n",
        ),
        (Catch(_REPLIES, "begun elsewhere"),),
    ),
    Mutant(
        "ICMP errors all allowed",
        both("police.c", _READ, "	if (t->error)\n		return TC_ACT_OK;\n" + _READ),
        (Catch(_ERRORS, "errors"), Catch(_ERRORS_FAR, "about none"), Catch(_COUNTED, "counted")),
    ),
    Mutant(
        "ICMP errors all denied",
        both("police.c", _QUOTED, "	if (!t->error) {"),
        (Catch(_ERRORS, "errors"), Catch(_ERRORS_FAR, "about a live flow")),
    ),
    Mutant(
        "ICMP errors looked up by their own addresses",
        both("police.c", _QUOTED, "	if (1) {"),
        (Catch(_ERRORS, "errors"), Catch(_ERRORS_FAR, "about a live flow")),
    ),
    Mutant(
        "ICMP errors about other pods' flows allowed",
        _two("police.c", "	return true;", "	return ip.saddr == pkt->dst4;",
             "	return same_address6(&sent.src, &pkt->dst6);"),
        (Catch(_ERRORS_FAR, "about another pod's flow"),),
    ),
    Mutant(
        "a pod's ICMP errors about what it sent allowed",
        _two("police.c", "		return true;", "		return ip.daddr == pkt->src4;",
             "		return same_address6(&sent.dst, &pkt->src6);"),
        (Catch(_ERRORS, "errors"),),
    ),
    Mutant(
        "later fragments pass unjudged",
        both("police.c", "		reason = fragment_ports@(pkt, t, now);", "		return TC_ACT_OK;"),
        (Catch(_PARTS, "without a first that passed"), Catch(_COUNTED, "counted")),
    ),
    Mutant(
        "fragments of two packets taken for one's",
        _two("transport.c", "", "	t->id = ip->id;\n",
             "			__builtin_memcpy(&t->id, head + 4, sizeof(t->id));\n"),
        (Catch(_PARTS, "without a first that passed"),),
    ),
    Mutant(
        "first fragment that hides its ports passes",
        patch("transport.c", "		if (size < head || !read", "		if (!read"),
        (Catch(_PARTS, "first without its ports"),),
    ),
    Mutant(
        "fragments all refused",
        both("flow.c", "	fragments@.update(&key, &first);", "	;"),
        (Catch(_PARTS, "in order"),),
    ),
    Mutant(
        "flows never expire",
        patch("flow.c", "	return now < state->expires &&", "	return now &&"),
        (Catch(_EXPIRES, "answered after expiry"), Catch(_ENDS, "after the end", _RESET)),
    ),
    Mutant(
        "expiry not renewed",
        patch("flow.c", "	state->expires = by->expires;\n", ""),
        (Catch(_RENEWED, "renewed"),),
    ),
    Mutant(
        "only one of a pair renewed",
        both("flow.c", _BACK, _BACK.replace("renew(&there->state, state)", "")),
        (Catch(_RENEWED, "both of the pair"),),
    ),
    Mutant(
        "a pair that lost one is not healed",
        both(
            "police.c", _PAIR,
            "	if (!known || flows@.lookup(&at->partner))\n	" + _PAIR,
        ),
        (Catch(_RENEWED, "healed"),),
    ),
    Mutant(
        "RST ignored",
        patch("flow.c", "	if (flags & TCP_RST)", "	if (0)"),
        (Catch(_ENDS, "after the end", _RESET), Catch(_ENDS, "after the end", _REFUSED)),
    ),
    Mutant(
        "FIN ignored",
        patch("flow.c", "	if (flags & TCP_FIN)", "	if (0)"),
        (Catch(_ENDS, "after the end", _CLOSED),),
    ),
    Mutant(
        "one FIN closes a connection",
        patch("flow.c", " == BOTH_WAYS(FLOW_FIN);", ";"),
        (Catch(_HALF, "half closed"),),
    ),
    Mutant(
        "a SYN to a connection that is closing belongs to it",
        patch("flow.c", "	       !(closing(state->tcp) && ", "	       !(0 && "),
        (Catch(_HALF, "closing"),),
    ),
    Mutant(
        "a SYN that nobody answered kept for a connection",
        patch("flow.c", "? config->tcp_syn :", "? config->tcp_established :"),
        (Catch(_HALF, "unanswered SYN"),),
    ),
    Mutant(
        "flows told apart by addresses alone",
        (
            *both(
                "police.c",
                "	at->original.dst = pkt->dst@;\n	at->original.sport = t->sport;\n"
                "	at->original.dport = t->dport;\n",
                "	at->original.dst = pkt->dst@;\n	at->original.sport = 0;\n"
                "	at->original.dport = 0;\n",
            ),
            *both("police.c", "	if (plain(skb, pkt, HEADER@))", "	if (0)"),
        ),
        (Catch(_ENDS, "the connection beside it", _CLOSED),),
    ),
)  # fmt: skip

MUTANTS: tuple[Mutant, ...] = (*_RULES_OF_PODS, *_OF_FLOWS)
