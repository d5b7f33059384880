# SPDX-License-Identifier: Apache-2.0
"""What a pod's request and reply look like at every device, by how they are delivered. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.watch.legs import Difference, LegTable

#: Delivery → its legs between two pods of the node. `stack` and `lxc` have the same: what tells
#: them apart is whether FORWARD saw the packets.
_THROUGH = """
    pod1:{one}   > request   < reply
    node:{lxc1}  < request   > reply
    node:{lxc2}  > request   < reply
    pod2:{two}   < request   > reply
"""
_PAST = """
    pod1:{one}   > request   < reply
    node:{lxc1}  < request
    node:{lxc2}  < reply
    pod2:{two}   < request   > reply
"""
_NETKIT = """
    pod1:{one}   > request   < reply
    node:{lxc1}  > reply
    node:{lxc2}  > request
    pod2:{two}   < request   > reply
"""
LOCAL = {"stack": _THROUGH, "lxc": _THROUGH, "peer": _PAST, "netkit": _NETKIT}
#: The same where the second pod is behind an uplink.
_OFF = """
    pod1:{one}   > request   < reply
    node:{lxc1}  < request   > reply
    node:{wire}  > request   < reply
    pod2:{two}   < request   > reply
"""
REMOTE = {
    "stack": _OFF,
    "lxc": _OFF,
    "peer": _OFF.replace("< request   > reply\n    node:{wire}", "< request\n    node:{wire}"),
    "netkit": _OFF.replace("    node:{lxc1}  < request   > reply\n", ""),
}
MEANS = {
    "stack": "the node's stack forwards it",
    "lxc": "bpf_redirect or bpf_redirect_neigh to the pod's lxc",
    "peer": "bpf_redirect_peer into the pod",
    "netkit": "bpf_redirect between netkit pairs",
}


def fitting(
    legs: LegTable, names: Mapping[str, str], uplinks: Sequence[str], forwarded: int | None
) -> tuple[tuple[str, ...], list[str]]:
    """The deliveries that legs fit, and if none, what speaks against the nearest.

    Args:
        legs: What was seen.
        names: `one` and `two`: the pods' interfaces; `lxc1` and `lxc2`: the node's, "" of a pod
            that is not the node's.
        uplinks: The node's uplinks.
        forwarded: Packets that FORWARD saw; None: not counted.
    """
    templates = LOCAL if names["lxc2"] else REMOTE
    filled = {**names, "wire": _wire(legs, uplinks)}
    expected = {kind: LegTable.parse(text.format(**filled)) for kind, text in templates.items()}
    fits = tuple(kind for kind, table in expected.items() if legs == table)
    if fits == ("stack", "lxc") and forwarded is not None:
        fits = fits[:1] if forwarded else fits[1:]
    return fits, [] if fits else _nearest(legs, expected)


def _wire(legs: LegTable, uplinks: Sequence[str]) -> str:
    """The uplink that saw something, else the first."""
    saw = [name for name in uplinks if any(at == f"node:{name}" for at, _, _ in legs.legs)]
    return next(iter((*saw, *uplinks)), "none")


def _nearest(legs: LegTable, expected: dict[str, LegTable]) -> list[str]:
    """What speaks against the delivery that it fits best."""
    kind, table = min(
        expected.items(), key=lambda item: len(set(legs.legs.items()) ^ set(item[1].legs.items()))
    )
    return [f"most like {kind}, but for these:", *Difference(table, legs).lines()]
