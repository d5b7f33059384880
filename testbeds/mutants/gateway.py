# SPDX-License-Identifier: Apache-2.0
"""Mutants: the gateway."""

from __future__ import annotations

from harness.bpf.module import Patch
from testbeds.mutants import tests as t
from testbeds.mutants.mutant import Catch, Mutant, patch

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "gateway not answered for",
        (
            Patch("gateway.c", "target != node->gateway4)", "1)"),
            Patch("gateway.c", "!same_address6(&sol->target, &node->gateway6))", "1)"),
        ),
        (Catch(t.GATEWAY, "exchange.lost == 0"), Catch(t.TAKEN, t.TABLE)),
    ),
    Mutant(
        "gateway answered for with the pod's own MAC",
        (
            Patch(
                "gateway.c",
                "	__builtin_memcpy(arp->sender_mac, pod->lxc_mac, ETH_ALEN);",
                "	__builtin_memcpy(arp->sender_mac, cur.eth->h_dest, ETH_ALEN);",
            ),
            Patch(
                "gateway.c",
                "	__builtin_memcpy(adv.mac, pod->lxc_mac, ETH_ALEN);",
                "	__builtin_memcpy(adv.mac, adv.eth.h_dest, ETH_ALEN);",
            ),
        ),
        (Catch(t.GATEWAY, "== pod.lxc_mac"),),
    ),
    Mutant(
        "every address answered for",
        (
            Patch("gateway.c", "target != node->gateway4)", "0)"),
            Patch("gateway.c", "!same_address6(&sol->target, &node->gateway6))", "0)"),
        ),
        (Catch(t.OWN_ADDRESS, t.TABLE),),
    ),
    Mutant(
        "advertisement's checksum off by one",
        patch(
            "gateway.c",
            "adv.icmp.icmp6_cksum = fold(sum);",
            "adv.icmp.icmp6_cksum = fold(sum) + 1;",
        ),
        (Catch(t.GATEWAY, "exchange.lost == 0", families=(6,)),),
    ),
)
