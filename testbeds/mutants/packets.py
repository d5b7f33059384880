# SPDX-License-Identifier: Apache-2.0
"""Mutants: who talks to whom, and packets of some protocol, port, order or size."""

from __future__ import annotations

from harness.bpf.source import Patch
from testbeds.mutants.mutant import Catch, Mutant, patch

_DELIVERY = "	if (pkt->ttl <= 1)\n"
_FORWARDING = "	fib.ifindex = skb->ifindex;\n"
_LOST = "return drop(program, DROP_REWRITE);"
_STACK = "return to_stack(program);"
_P = "two_node/test_packets::"
_KINDS = _P + "test_hr12_packets_of_any_protocol_and_port"
_OTHERS = _P + "test_hr12_refusals_of_others"
_FRAGMENTS = _P + "test_hr12_fragments_in_any_order_and_of_any_size"
_PODS = "one_node/test_pairs::test_hr07_every_pod_and_every_other"
_EVERYBODY = "two_node/test_pairs::test_hr08_everybody_and_everybody_else"
#: By the first byte of what IP carries, of either family.
_UNREACHABLE = "(pkt->protocol == 1 && byte == 3) || (pkt->protocol == 58 && byte == 1)"
_ECHO_REPLY = "(pkt->protocol == 1 && !byte) || (pkt->protocol == 58 && byte == 129)"
_L4 = "u32 l4 = 14 + (pkt->family == 2 ? 20 : 40);"


def _delivering(condition: str, verdict: str = _LOST) -> tuple[Patch, ...]:
    """Before local delivery: what meets a condition gets another verdict."""
    return patch(
        "local_delivery.c", _DELIVERY, f"	if ({condition})\n		{verdict}\n{_DELIVERY}"
    )


def _delivering_byte(offset: int, condition: str, verdict: str = _LOST) -> tuple[Patch, ...]:
    """The same by a byte of what IP carries."""
    loaded = f"!bpf_skb_load_bytes(skb, l4 + {offset}, &byte, 1)"
    return patch(
        "local_delivery.c",
        _DELIVERY,
        f"	{{ u8 byte; {_L4}\n	if ({loaded} && ({condition}))\n		{verdict} }}\n{_DELIVERY}",
    )


def _to_the_node(code: str) -> tuple[Patch, ...]:
    """Code for what a pod sends to its node, before the stack gets it."""
    return tuple(
        Patch(
            "from_container.c",
            f"	target = endpoints{family}.lookup(&pkt.dst{family});\n",
            f"	target = endpoints{family}.lookup(&pkt.dst{family});\n"
            f"	if (target && target->flags) {{ {code} }}\n",
        )
        for family in (4, 6)
    )


_PROTOCOL = {
    "GRE": 47, "ESP": 50, "SCTP": 132, "UDP-Lite": 136, "packets behind AH": 51,
    "a protocol of no name": 253,
}  # fmt: skip
_EXTENSION = {"destination options": 60, "a routing header": 43}

_LOST_PROTOCOLS = tuple(
    Mutant(
        f"{name} lost",
        _delivering(f"pkt->protocol == {number}"),
        (Catch(_KINDS, "all but the TTL"),),
    )
    for name, number in _PROTOCOL.items()
) + tuple(
    Mutant(
        f"packets behind {name} lost",
        _delivering(f"pkt->protocol == {number}"),
        (Catch(_KINDS, "all but the TTL", families=(6,)),),
    )
    for name, number in _EXTENSION.items()
)

_PACKETS = (
    Mutant(
        "all but ping, TCP and UDP delivered by the stack",
        _delivering(
            "pkt->protocol != 1 && pkt->protocol != 58 && pkt->protocol != 6 &&"
            " pkt->protocol != 17",
            _STACK,
        ),
        (Catch(_KINDS, "forward hook"),),
    ),
    Mutant(
        "TCP to port 443 lost",
        _delivering("pkt->protocol == 6 && pkt->dport == bpf_htons(443)"),
        (Catch(_KINDS, "all but the TTL"),),
    ),
    Mutant(
        "UDP from port 53 lost",
        _delivering("pkt->protocol == 17 && pkt->sport == bpf_htons(53)"),
        (Catch(_KINDS, "all but the TTL"),),
    ),
    Mutant(
        "BGP delivered by the stack",
        _delivering("pkt->protocol == 6 && pkt->dport == bpf_htons(179)", _STACK),
        (Catch(_KINDS, "forward hook"),),
    ),
    Mutant(
        "TCP resets lost",
        _delivering_byte(13, "pkt->protocol == 6 && (byte & 4)"),
        (
            Catch(_KINDS, "resets"),
            Catch(_OTHERS, "resets"),
        ),
    ),
    Mutant(
        "port unreachable lost",
        _delivering_byte(0, _UNREACHABLE),
        (Catch(_KINDS, "errors"), Catch(_FRAGMENTS, "datagrams refused")),
    ),
    Mutant(
        "port unreachable from the wire lost",
        _delivering_byte(
            0,
            f"program == PROGRAM_FROM_NETDEV && ({_UNREACHABLE})",
        ),
        (
            Catch(_KINDS, "errors"),
            Catch(_OTHERS, "errors"),
        ),
    ),
    Mutant(
        "UDP's fragments lost",
        _delivering("pkt->fragment && (pkt->protocol == 17 || pkt->protocol == 44)"),
        (Catch(_FRAGMENTS, "all but the TTL"),),
    ),
    Mutant(
        "echo replies delivered by the stack",
        _delivering_byte(0, _ECHO_REPLY, _STACK),
        (Catch(_FRAGMENTS, "forward hook"),),
    ),
    Mutant(
        "echo replies lost",
        _delivering_byte(0, _ECHO_REPLY),
        (Catch(_FRAGMENTS, "echoes answered"),),
    ),
    Mutant(
        "UDP of more than 1400 bytes lost",
        _delivering("pkt->protocol == 17 && pkt->l3_size > 1400"),
        (Catch(_FRAGMENTS, "lost"),),
    ),
    Mutant(
        "UDP of more than 1400 bytes delivered by the stack",
        _delivering("pkt->protocol == 17 && !pkt->fragment && pkt->l3_size > 1400", _STACK),
        (Catch(_FRAGMENTS, "forward hook"),),
    ),
)

_PAIRS = (
    # The testbed numbers the lxc of one node one after the other.
    Mutant(
        "the third pod's packets delivered to the second",
        patch(
            "local_delivery.c",
            "redirect_peer(pod->ifindex, 0)",
            "redirect_peer(pod->ifindex == 1002 ? 1001 : pod->ifindex, 0)",
        ),
        (Catch(_PODS, "lost"),),
    ),
    Mutant(
        "the third pod's packets delivered by bpf_redirect",
        patch(
            "local_delivery.c",
            "redirect_peer(pod->ifindex, 0)",
            "pod->ifindex == 1002 ? bpf_redirect(1002, 0) : redirect_peer(pod->ifindex, 0)",
        ),
        (Catch(_PODS, "legs"),),
    ),
    Mutant(
        "the third pod's packets left to the stack by bpf-redirect",
        _delivering("pod->ifindex == 1002", _STACK),
        (Catch(_PODS, "hooks"),),
        "bpf-redirect",
    ),
    Mutant(
        "a byte of every large segment corrupted",
        patch(
            "local_delivery.c",
            _DELIVERY,
            "	{ u8 byte = 0xa5; if (skb->len > 2000)\n"
            f"		bpf_skb_store_bytes(skb, 1000, &byte, 1, 0); }}\n{_DELIVERY}",
        ),
        (Catch(_PODS, "streams intact"), Catch(_EVERYBODY, "streams intact")),
    ),
    Mutant(
        "datagrams to the node itself lost",
        _to_the_node("if (pkt.protocol == 17) return drop(PROGRAM_FROM_CONTAINER, DROP_REWRITE);"),
        (Catch(_EVERYBODY, "lost"),),
    ),
    Mutant(
        "packets to the node itself returned as well",
        _to_the_node("bpf_clone_redirect(skb, skb->ifindex, 0);"),
        (Catch(_EVERYBODY, "legs"),),
    ),
    Mutant(
        "a byte of every large segment to the node itself corrupted",
        _to_the_node(
            "u8 byte = 0xa5; if (skb->len > 2000) bpf_skb_store_bytes(skb, 1000, &byte, 1, 0);"
        ),
        (Catch(_EVERYBODY, "streams intact"),),
    ),
    Mutant(
        "what is for the world forwarded by the stack",
        patch(
            "forward.c",
            _FORWARDING,
            "	if (pkt->family == 2 ? (pkt->dst4 & 0xff) == 198 : pkt->dst6.bytes[0] == 0x20)\n"
            f"		{_STACK}\n{_FORWARDING}",
        ),
        (Catch(_EVERYBODY, "forward hook"), Catch(_OTHERS, "forward hook")),
    ),
    Mutant(
        "what is for another node itself forwarded by the stack",
        patch(
            "forward.c",
            _FORWARDING,
            "	if (pkt->family == 2 ? (pkt->dst4 & 0xff) == 192 : pkt->dst6.bytes[3] == 0x56)\n"
            f"		{_STACK}\n{_FORWARDING}",
        ),
        (Catch(_EVERYBODY, "forward hook"), Catch(_OTHERS, "forward hook")),
    ),
    Mutant(
        "what comes from other nodes themselves delivered by the stack",
        _delivering(
            "program == PROGRAM_FROM_NETDEV &&"
            " (pkt->family == 2 ? (pkt->src4 & 0xff) == 192 : pkt->src6.bytes[3] == 0x56)",
            _STACK,
        ),
        (Catch(_EVERYBODY, "legs"),),
    ),
    Mutant(
        "what comes from the world delivered by the stack in bpf-redirect",
        _delivering(
            "program == PROGRAM_FROM_NETDEV &&"
            " (pkt->family == 2 ? (pkt->src4 & 0xff) == 198 : pkt->src6.bytes[0] == 0x20)",
            _STACK,
        ),
        (Catch(_EVERYBODY, "forward hook"),),
        "bpf-redirect",
    ),
)

MUTANTS: tuple[Mutant, ...] = (*_LOST_PROTOCOLS, *_PACKETS, *_PAIRS)
