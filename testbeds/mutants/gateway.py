# SPDX-License-Identifier: Apache-2.0
"""Mutants: the gateway."""

from __future__ import annotations

from harness.bpf.source import Patch
from testbeds.mutants import targets as t
from testbeds.mutants.mutant import Catch, Mutant, patch

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "gateway not answered for",
        (
            Patch("gateway.c", "target != node->gateway4)", "1)"),
            Patch("gateway.c", "!same_address6(&sol->target, &node->gateway6))", "1)"),
        ),
        (Catch(t.GATEWAY, "lost"), Catch(t.TAKEN, "legs")),
    ),
    Mutant(
        "gateway answered for with the pod's own MAC",
        (
            Patch(
                "gateway.c",
                "	__builtin_memcpy(arp.sender_mac, pod->lxc_mac, ETH_ALEN);",
                "	__builtin_memcpy(arp.sender_mac, cur.eth->h_dest, ETH_ALEN);",
            ),
            Patch(
                "gateway.c",
                "	__builtin_memcpy(adv.mac, pod->lxc_mac, ETH_ALEN);",
                "	__builtin_memcpy(adv.mac, adv.eth.h_dest, ETH_ALEN);",
            ),
        ),
        (Catch(t.GATEWAY, "neighbour entry"),),
    ),
    Mutant(
        "every address answered for",
        (
            Patch("gateway.c", "target != node->gateway4)", "0)"),
            Patch("gateway.c", "!same_address6(&sol->target, &node->gateway6))", "0)"),
        ),
        (Catch(t.OWN_ADDRESS, "legs"),),
    ),
    Mutant(
        "a pod's own address answered for while it looks for a duplicate",
        (
            Patch(
                "gateway.c",
                "target != node->gateway4)",
                "(target != node->gateway4 && !endpoints4.lookup(&target)))",
            ),
            Patch(
                "gateway.c",
                "!same_address6(&sol->target, &node->gateway6))",
                "(!same_address6(&sol->target, &node->gateway6) &&"
                " !endpoints6.lookup(&sol->target)))",
            ),
        ),
        (Catch(t.OWN_ADDRESS, "legs"),),
    ),
    Mutant(
        "advertisement's checksum off by one",
        patch(
            "gateway.c",
            "adv.icmp.icmp6_cksum = fold(sum);",
            "adv.icmp.icmp6_cksum = fold(sum) + 1;",
        ),
        (Catch(t.GATEWAY, "lost", families=(6,)),),
    ),
    Mutant(
        "gateway's pings not answered",
        patch("gateway_echo.c", "type != request)", "1)"),
        (Catch(t.GATEWAY_PING, "lost", {"size": 0}),),
    ),
    Mutant(
        "gateway's echo reply has the request's TTL",
        patch(
            "gateway_echo.c", "#define ECHO_HOP_LIMIT	64", "#define ECHO_HOP_LIMIT	pkt->ttl"
        ),
        (Catch(t.GATEWAY_PING, "reply's TTL and MACs", {"size": 0}),),
    ),
    Mutant(
        "gateway's echo reply with its header's checksum off",
        patch("gateway_echo.c", "before, after, sizeof(u16))", "before, after + 1, sizeof(u16))"),
        (Catch(t.GATEWAY_PING, "lost", {"size": 57}, (4,)),),
    ),
    Mutant(
        "gateway is looked up",
        (
            Patch(
                "from_container.c",
                "	target = endpoints4.lookup(&pkt.dst4);\n",
                "	target = endpoints4.lookup(&pkt.dst4);\n"
                "	if (target && target->flags & ENDPOINT_GATEWAY) target = NULL;\n",
            ),
            Patch(
                "from_container.c",
                "	target = endpoints6.lookup(&pkt.dst6);\n",
                "	target = endpoints6.lookup(&pkt.dst6);\n"
                "	if (target && target->flags & ENDPOINT_GATEWAY) target = NULL;\n",
            ),
        ),
        (
            Catch(t.GATEWAY_PING, "lost", {"size": 1400}),
            Catch(t.GATEWAY_FAR, "interfaces"),
        ),
    ),
)
