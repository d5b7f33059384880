# SPDX-License-Identifier: Apache-2.0
"""Mutants: what a pod may send from."""

from __future__ import annotations

from harness.bpf.source import Patch
from testbeds.mutants import targets as t
from testbeds.mutants.mutant import Catch, Mutant

_EVERY = t.ADDRESSES + "test_hr45_every_address_of_a_pod_is_its_own"
_MOVED = t.ADDRESSES + "test_hr45_an_address_that_went_to_another_pod"
_ASKS = t.ADDRESSES + "test_hr45_a_pod_without_an_address_asks_for_one"
_NOBODY = t.ADDRESSES + "test_hr45_nothing_is_forwarded_from_no_address"
_SPOOFED = t.D1 + "test_hr45_spoofed_source"

CHECK = "	if (!sender || sender->ifindex != skb->ifindex)\n		return not_its_own(skb, "
BY_FAMILY = {4: "!pkt.src4 && link_scope4(pkt.dst4));", 6: "unrouted && link_scope6(&pkt.dst6));"}
_LEFT = "		return drop(PROGRAM_FROM_CONTAINER, DROP_SOURCE);\n	return to_stack("

_FLOODED = "	bpf_clone_redirect(skb, skb->ifindex + 1, 0);\n	return to_stack("


def checked(new: dict[int, str]) -> tuple[Patch, ...]:
    """The source check in other words, for each family."""
    return tuple(
        Patch("from_container.c", CHECK + rest, new[family]) for family, rest in BY_FAMILY.items()
    )


#: Where a source is nobody's, the receiver stands in for the sender.
FALLEN_BACK = {
    family: f"	if (!sender)\n		sender = endpoints{family}.lookup(&pkt.dst{family});\n"
    f"	if (!sender)\n		return not_its_own(skb, {rest}"
    for family, rest in BY_FAMILY.items()
}
UNCHECKED = checked(FALLEN_BACK)
_NOT_ZERO = {4: "pkt.src4", 6: "!unspecified6(&pkt.src6)"}
_BUT_FOR_ZERO = {
    family: f"	if ({_NOT_ZERO[family]} &&\n"
    "	    (!sender || sender->ifindex != skb->ifindex))\n"
    f"		return not_its_own(skb, {rest}\n{FALLEN_BACK[family]}"
    for family, rest in BY_FAMILY.items()
}
#: A pod's first addresses end like this, those of the test do not.
_FIRST = {4: "(pkt.src4 >> 24) > 50", 6: "pkt.src6.bytes[14]"}

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "another pod's address taken for the pod's own",
        checked(
            {
                family: f"	if (!sender)\n		return not_its_own(skb, {rest}"
                for family, rest in BY_FAMILY.items()
            }
        ),
        (Catch(_SPOOFED, "legs", {"claimed": "pod2"}), Catch(_MOVED, "legs")),
    ),
    Mutant(
        "a pod's first addresses alone taken for its own",
        checked(
            {
                family: f"	if (!sender || sender->ifindex != skb->ifindex || {_FIRST[family]})\n"
                f"		return not_its_own(skb, {rest}"
                for family, rest in BY_FAMILY.items()
            }
        ),
        (Catch(_EVERY, "legs"),),
    ),
    Mutant(
        "a pod without an address taken for a liar",
        checked(dict.fromkeys((4, 6), CHECK + "false);")),
        (Catch(_ASKS, "heard by the node"),),
    ),
    Mutant(
        "who asks for an address is heard by the next pod too",
        (Patch("from_container.c", _LEFT, _LEFT.replace("	return to_stack(", _FLOODED)),),
        (Catch(_ASKS, "interfaces"),),
    ),
    Mutant(
        "forwarded from no address",
        checked(_BUT_FOR_ZERO),
        (Catch(_NOBODY, "legs"),),
    ),
)  # fmt: skip
