# SPDX-License-Identifier: Apache-2.0
"""Mutants: what goes wrong on netkit pairs alone. Where the kernel has none they are skipped."""

from __future__ import annotations

from harness.topology.netkit import MODES
from testbeds.mutants import targets as t
from testbeds.mutants.mutant import Catch, Mutant, patch

_ON = "bpf-netkit"
_REWRITE = "if (decrement_ttl(skb, pkt) || write_macs(skb, pod->mac, pod->lxc_mac))"


def _on_each(test: str, assertion: str) -> tuple[Catch, ...]:
    return tuple(Catch(test, assertion, {"device": device}) for device in MODES)


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "bpf_redirect_peer from a netkit program",
        patch("local_delivery.c", "bpf_redirect(primary, 0)", "redirect_peer(primary, 0)"),
        (*_on_each(t.NETKIT, "legs"), Catch(t.B1 + "test_hr02_netfilter_hooks", "lost")),
        _ON,
    ),
    Mutant(
        "MACs not rewritten on the way to a netkit pair",
        patch("local_delivery.c", _REWRITE, "if (decrement_ttl(skb, pkt))"),
        (Catch(t.NETKIT, "legs", {"device": "netkit"}),),
        _ON,
    ),
    Mutant(
        "TTL not decremented on the way to a netkit pair",
        patch("local_delivery.c", _REWRITE, "if (write_macs(skb, pod->mac, pod->lxc_mac))"),
        (*_on_each(t.NETKIT, "TTL at the pods"), *_on_each(t.NETKIT_FAR, "TTL at the pods")),
        _ON,
    ),
    Mutant(
        "bpf_redirect to a netkit pair's primary off the wire",
        patch(
            "local_delivery.c", "redirect_peer(pod->ifindex, 0)", "bpf_redirect(pod->ifindex, 0)"
        ),
        (*_on_each(t.NETKIT_FAR, "legs"), *_on_each(t.NETKIT_WORLD, "legs")),
        _ON,
    ),
    Mutant(
        "gateway not answered for behind a netkit pair",
        (
            *patch("gateway.c", "target != node->gateway4)", "1)"),
            *patch("gateway.c", "!same_address6(&sol->target, &node->gateway6))", "1)"),
        ),
        (Catch(t.NETKIT_GATEWAY, "lost", {"device": "netkit"}),),
        _ON,
    ),
    Mutant(
        "no program on a netkit pair, whose policy is to pass",
        (),
        (*_on_each(t.NETKIT, "legs"), Catch(t.B1 + "test_hr02_netfilter_hooks", "hooks")),
        "legacy",
        _ON,
    ),
)
