# SPDX-License-Identifier: Apache-2.0
"""Mutants: services in BPF."""

from __future__ import annotations

from harness.bpf.source import Patch
from testbeds.mutants import services as s
from testbeds.mutants.mutant import Catch, Mutant, both, patch

_AT_NODE, _EXTERNAL = {"front": "node-port"}, {"front": "external"}
_NEAR, _FAR = {"backend": "near"}, {"backend": "far"}
_PORT_1, _ECHO = {"asked": "unknown-port"}, {"asked": "echo"}
_TWO, _FLOWS = "two_node/test_services::", "two_node/test_service_flows::"
_OWN = _TWO + "test_hr62_node_port_of_an_own_process"
_INSIDE = _TWO + "test_hr42_node_port_of_the_own_node"
_UNKNOWN = _TWO + "test_hr61_what_no_front_matches_is_refused"
_SUMS = _TWO + "test_hr42_sums_without_offloads"
_LATE = _FLOWS + "test_hr63_an_expired_packet_is_quoted_as_it_was_sent"
_ROUTER = _FLOWS + "test_hr63_a_routers_error_speaks_of_the_front"
_REFUSES = _FLOWS + "test_hr63_a_backend_that_refuses"
_BIG = _FLOWS + "test_hr63_too_big_for_the_way_to_a_backend"
_KINDS = "two_node/test_service_errors::test_hr63_every_error_to_"
_EVERY = [_KINDS + who for who in ("who_asks", "a_backend", "a_backend_that_sees_the_node")]
_PARTS = _FLOWS + "test_hr64_fragments_there_and_back"
_PORT = _FLOWS + "test_hr66_one_client_port_through_several_fronts"
_ALIKE = _FLOWS + "test_hr58_every_node_chooses_alike"
_LASTS = "one_node/test_services::test_hr59_affinity_lasts_from_the_last_new_flow"
_BEFORE = (
    "	before = service->affinity ? kept@.lookup(&client) : NULL;\n"
    "	if (before && now - before->since < service->affinity)"
)
_ABSENT = "one_node/test_stages::test_hr86_nothing_asked_for_nothing_compiled_in"

#: Where a packet of a flow that is known, and of one that was looked at closely, becomes another.
_FAST = (
    "			if (!inbound && flow->state.translated)\n"
    "				become@(pkt, &flow->partner);\n"
)
_SLOW = "	if (!inbound && at->state.translated)\n		become@(pkt, &at->partner);\n"
_KNOWN = "		flow = flows@.lookup(&at->key);\n		known = flow &&"
_SERVED = "				   serve@(&at->original, program, now, &at->partner);\n"
_PORTS = (
    "	pkt->dst@ = partner->src;\n	pkt->sport = partner->dport;\n"
    "	pkt->dport = partner->sport;\n"
)
_HAIRPIN = "		if (same_address@(&chosen.address, &asked->src))"
_CLIENT = "	struct client@ client = { asked->src, service->id };"


def _turned(condition: str) -> tuple[Patch, ...]:
    """Packets become others only where that holds of the flow's STATE."""

    def guarded(text: str, state: str) -> str:
        return text.replace("translated)", f"translated && ({condition}))".replace("STATE", state))

    return (
        *both("police.c", _FAST, guarded(_FAST, "flow->state")),
        *both("police.c", _SLOW, guarded(_SLOW, "at->state")),
    )


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "fronts not found",
        (
            *both("service.c", " *found = services@.lookup(&key);", " *found = NULL;"),
            *both("service.c", "	return services@.lookup(&key);", "	return NULL;"),
        ),
        (
            Catch(s.NEAR, "legs"), Catch(s.FAR, "legs"), Catch(s.HOST, "legs"),
            Catch(s.OUTSIDE, "legs", _AT_NODE), Catch(s.OUTSIDE, "legs", _EXTERNAL),
        ),
    ),
    Mutant(
        "replies of backends stay theirs",
        _turned("!STATE.reply"),
        (
            Catch(_PARTS, "answered by"), Catch(_INSIDE, "legs"),
            Catch(s.NEAR, "legs"), Catch(s.FAR, "legs"), Catch(s.HAIRPIN, "legs"),
            Catch(s.OUTSIDE, "legs", _AT_NODE), Catch(s.NODE_PORT, "legs"),
            Catch(s.LOCAL, "legs"), Catch(s.ELSEWHERE, "legs from inside"),
        ),
    ),
    Mutant(
        "replies off the wire stay the backend's",
        _turned("program != PROGRAM_FROM_NETDEV || !STATE.reply"),
        (
            Catch(_PORT, "answered by"),
            Catch(s.FAR, "legs"), Catch(s.NODE_PORT, "legs"), Catch(s.NODE_PORT_HOST, "legs"),
            Catch(s.ELSEWHERE, "legs from inside"),
        ),
    ),
    Mutant(
        "backends are asked at the front's port",
        both("service.c", _PORTS, _PORTS.replace("	pkt->dport = partner->sport;\n", "")),
        (
            Catch(s.NEAR, "legs"), Catch(s.HOST, "legs"), Catch(s.SPREAD, "arrived"),
            Catch(s.KEPT, "arrived"), Catch(_LASTS, "arrived"),
        ),
    ),
    Mutant(
        "a backend elsewhere is asked in the client's name",
        both("service.c", "			back->dst = node->node@;", "			;"),
        (
            Catch(s.NODE_PORT, "legs"), Catch(s.NODE_PORT_HOST, "legs"), Catch(_INSIDE, "legs"),
            Catch(s.EXTERNAL, "legs", _FAR),
        ),
    ),
    Mutant(
        "the first slot has it all",
        both("service.c", "choice@(asked) % service", "0 * choice@(asked) % service"),
        (Catch(s.SPREAD, "share of each backend"),),
    ),
    Mutant(
        "every packet chooses its backend",
        (
            Patch("flow.c", "	return config &&", "	return config && state->reply &&"),
            *both("police.c", _KNOWN, _KNOWN + " flow->state.reply &&"),
        ),
        (Catch(s.SPREAD, "backend of a flow"),),
    ),
    Mutant(
        "each of a client's ports keeps a backend of its own",
        both("service.c", _CLIENT, _CLIENT.replace("service->id", "service->id ^ asked->sport")),
        (Catch(s.KEPT, "backend of a client"), Catch(s.CLIENTS, "backend of each client")),
    ),
    Mutant(
        "clients share what they keep",
        (
            Patch("service.c", "client4 client = { asked->src,", "client4 client = { 0,"),
            Patch("service.c", "client6 client = { asked->src,", "client6 client = { {},"),
        ),
        (Catch(s.CLIENTS, "backends of all"),),
    ),
    Mutant(
        "external addresses are asked from outside alone",
        both("service.c", "front@(asked, scope);",
             "scope || kind_of@(&asked->dst) == NETWORK_SERVICES ? front@(asked, scope) : NULL;"),
        (Catch(s.EXTERNAL, "legs", _NEAR), Catch(s.EXTERNAL, "legs", _FAR)),
    ),
    Mutant(
        "external addresses are asked in the gateway's name",
        both("service.c", _HAIRPIN, "		if (kind_of@(&asked->dst) != NETWORK_SERVICES)"),
        (Catch(s.EXTERNAL, "legs", _NEAR),),
    ),
    Mutant(
        "what no front matches follows the routes",
        both("service.c", "kind_of@(&asked->dst) == NETWORK_SERVICES ? NO_BACKEND",
             "kind_of@(&asked->dst) == NETWORK_SERVICES ? NO_SERVICE"),
        (Catch(_UNKNOWN, "legs", _PORT_1), Catch(_UNKNOWN, "legs", _ECHO)),
    ),
    Mutant(
        "a pod that is its own backend sees itself",
        both("service.c", "			back->dst = node->gateway@;", "			;"),
        (Catch(s.HAIRPIN, "legs"),),
    ),
    Mutant(
        "no backend: the program is silent",
        patch(
            "answer.c", "	if (action == NO_BACKEND) {",
            "	if (action == NO_BACKEND) {\n		return drop(program, DROP_NO_BACKEND);",
        ),
        (Catch(s.NOBODY, "legs"), Catch(s.WORLD_NOBODY, "legs"), Catch(_UNKNOWN, "legs", _ECHO)),
    ),
    Mutant(
        "no backend: sent on",
        both(
            "police.c", _SERVED,
            _SERVED + "		if (reason < 0)\n			reason = NO_SERVICE;\n",
        ),
        (Catch(s.NOBODY, "legs"),),
    ),
    Mutant(
        "no backend: the program says another error",
        (
            Patch("icmp_error.c", "ICMP_DEST_UNREACH, ICMP_PORT_UNREACH", "ICMP_DEST_UNREACH, 1"),
            Patch("icmp_error.c", "ICMPV6_DEST_UNREACH, ICMPV6_PORT_UNREACH",
                  "ICMPV6_DEST_UNREACH, 3"),
        ),
        (Catch(s.NOBODY, "port unreachable"), Catch(_UNKNOWN, "port unreachable", _ECHO)),
    ),
    Mutant(
        "replies of a process to a pod stay its own",
        both("to_container.c", "	if (own && turn_back@(", "	if (0 && turn_back@("),
        (Catch(s.HOST, "legs"),),
    ),
    Mutant(
        "a local service asks in the gateway's name",
        both("service.c", _HAIRPIN, "		if (off_wire)"),
        (
            Catch(s.LOCAL, "legs"), Catch(s.OUTSIDE, "legs", _AT_NODE),
            Catch(s.OTHER_NODE, "legs"),
        ),
    ),
    Mutant(
        "a local service asks backends elsewhere",
        both("service.c", "	u8 scope = off_wire && kind_of@(&asked->src) != NETWORK_PODS;",
             "	u8 scope = SCOPE_INSIDE;"),
        (Catch(s.ELSEWHERE, "legs from outside"),),
    ),
    Mutant(
        "no local backend: answered",
        both("service.c", "!choose@(service, asked, now, &chosen))\n		return service",
             "!choose@(service, asked, now, &chosen))\n		return 0 && service"),
        (Catch(s.ELSEWHERE, "legs from outside"),),
    ),
    Mutant(
        "services compiled in always",
        patch(
            "compat.h", "#define COMPAT_H\n",
            "#define COMPAT_H\n#ifndef SERVICES\n#define SERVICES\n#ifndef FLOWS\n"
            "#define FLOWS 16384\n#endif\n#endif\n",
        ),
        (Catch(_ABSENT, "programs", {"stage": "services"}),),
    ),
    Mutant(
        "replies of a process to the world stay its own",
        both("to_netdev.c", "		failed = turn_back@(skb, &pkt);", "		failed = 0;"),
        (Catch(_OWN, "legs"),),
    ),
    Mutant(
        "translated addresses left out of the sums",
        patch("translate.c", "(skb, sum, 0, addresses,", "(skb, sum, 0, 0 * addresses,"),
        (Catch(_SUMS, "answered"),),
    ),
    Mutant(
        "translated ports left out of the sums",
        patch("translate.c", "(skb, sum, before.ports, after,", "(skb, sum, after, after,"),
        (Catch(_SUMS, "answered"),),
    ),
    Mutant(
        "written first, answered then",
        patch("answer.c", "	return action == TTL_EXPIRED ?",
              "	if (action == TTL_EXPIRED)\n		translate(skb, pkt);\n"
              "	return action == TTL_EXPIRED ?"),
        (Catch(_LATE, "quoted"), Catch(_BIG, "quoted")),
    ),
    Mutant(
        "too big for the way to a backend: left to the stack",
        patch("translate.c", "	return TOO_BIG;", "	return UP_THE_STACK;"),
        (Catch(_BIG, "netfilter's hooks"),),
    ),
    Mutant(
        "too big for the way to a backend: no MTU is told",
        patch("answer.c", "about = TELL_MTU(pkt->mtu);", "about = TELL_MTU(0);"),
        (Catch(_BIG, "MTU"),),
    ),
    Mutant(
        "time exceeded is taken for no error",
        (
            Patch("transport.c", " || type == ICMP_TIME_EXCEEDED ||", " ||"),
            Patch("transport.c", "		t->error = type < ICMPV6_ECHO_REQUEST;",
                  "		t->error = type < ICMPV6_ECHO_REQUEST && type != ICMPV6_TIME_EXCEED;"),
        ),
        tuple(Catch(test, "told") for test in _EVERY),
    ),
    Mutant(
        "errors that quote ports alone are dropped",
        patch(
            "translate.c",
            "	if (!bpf_skb_load_bytes(skb, sum, &old, sizeof(old)) && (tcp || old)) {",
            "	if (bpf_skb_load_bytes(skb, sum, &old, sizeof(old)))\n		return -1;\n"
            "	if (tcp || old) {",
        ),
        tuple(Catch(test, "told") for test in _EVERY),
    ),
    Mutant(
        "errors about services stay as they came",
        both("police.c", "		become_error@(pkt, &at->key, &at->partner);", "		;"),
        (Catch(_ROUTER, "quoted"), Catch(_REFUSES, "legs")),
    ),
    Mutant(
        "ports that an error quotes left out of its sum",
        patch("translate.c", "	return bpf_l4_csum_replace(skb, icmp_sum, before, ports,",
              "	return bpf_l4_csum_replace(skb, icmp_sum, before, before,"),
        (
            Catch(_ROUTER, "sums"), Catch(_REFUSES, "sums"),
            *(Catch(test, "sums") for test in _EVERY),
        ),
    ),
    Mutant(
        "the sum that an error quotes stays the backend's",
        patch("translate.c", "(tcp || old)) {", "0 * (tcp || old)) {"),
        (Catch(_ROUTER, "quote, every byte of it"),),
    ),
    Mutant(
        "a backend refuses in its own name",
        both("service.c", "	if (same_address@(&pkt->src@, &key->src))", "	if (0)"),
        (Catch(_REFUSES, "who refuses"),),
    ),
    Mutant(
        "later fragments stay as they came",
        both("police.c", _SLOW, _SLOW.replace("translated)", "translated && !t->later)")),
        (Catch(_PARTS, "whole"),),
    ),
    Mutant(
        "a port that another flow has is kept",
        both("service.c", "!same_tuple@(&there->partner, key))\n			continue;",
             "!same_tuple@(&there->partner, key))\n			;"),
        (Catch(_PORT, "ports that the backend sees"),),
    ),
    Mutant(
        "ports do not count for the choice",
        (
            Patch("service.c", "mixed(hash, asked->sport | (u32)asked->dport << 16) ^", "hash ^"),
            Patch("service.c", "mixed(hash, asked->sport | (u32)asked->dport << 16);", "hash;"),
        ),
        (Catch(_ALIKE, "every backend"),),
    ),
    Mutant(
        "every node chooses for itself",
        (
            Patch("service.c", "	u32 hash = mixed(asked->src, asked->dst);",
                  "	u32 hash = bpf_get_prandom_u32();"),
            Patch("service.c", "	u32 hash = asked->protocol;",
                  "	u32 hash = bpf_get_prandom_u32();"),
        ),
        (Catch(_ALIKE, "both nodes"),),
    ),
    Mutant(
        "affinity never ends",
        both("service.c", _BEFORE, _BEFORE.replace(" && now - before->since < service->affinity",
                                                   "")),
        (Catch(_LASTS, "backend after a while"),),
    ),
    Mutant(
        "affinity is not renewed",
        both("service.c", "		kept@.update(&client, &kept);",
             "		if (!before)\n			kept@.update(&client, &kept);"),
        (Catch(_LASTS, "backend of a client"),),
    ),
)  # fmt: skip
