# SPDX-License-Identifier: Apache-2.0
"""Named nftables counters on the hooks of a node's stack.

The same table goes on every node, whatever its datapath. With a `ct state` rule it also makes
conntrack track in this namespace, so that "no conntrack entry" means something on a BPF node.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from weakref import WeakSet

from harness.plumbing import process
from harness.plumbing.errors import MissingToolError
from harness.plumbing.netns import NetNS

HOOKS = ("prerouting", "forward", "postrouting")
_TABLE = "hostroute_evidence"
#: To delete a table takes 12 ms: this is sent only where one may stand.
_ANEW = f"table inet {_TABLE} {{}}\ndelete table inet {_TABLE}\n"
# Priority -300 is before conntrack's and every rule that could drop (uapi netfilter_ipv4.h).
_RULES = f"""\
table inet {_TABLE} {{
    counter prerouting {{}}
    counter forward {{}}
    counter postrouting {{}}
    chain prerouting {{ type filter hook prerouting priority -300; counter name prerouting; }}
    chain forward {{ type filter hook forward priority -300; counter name forward; }}
    chain postrouting {{ type filter hook postrouting priority -300; counter name postrouting; }}
}}
"""
_TRACKING = f"""\
table inet {_TABLE} {{
    chain tracking {{ type filter hook prerouting priority 300; ct state new accept; }}
}}
"""

_counted: WeakSet[NetNS] = WeakSet()


def install(namespaces: Sequence[NetNS], track: bool = True) -> process.Running:
    """Put the counters on the hooks of nodes, at 0, once `outputs` of what is returned returns.

    They die with their namespaces.

    Args:
        namespaces: The nodes'.
        track: Whether conntrack is made to track there, whatever rules the node has.
    """
    rules = _RULES + _TRACKING if track else _RULES
    jobs = [
        process.Job(["nft", "-f", "-"], _ANEW + rules if ns in _counted else rules, ns)
        for ns in namespaces
    ]
    _counted.update(namespaces)
    return process.Running(jobs)


def parse_counters(text: str) -> dict[str, int]:
    """Name → packets, from `nft -j list counters`, or `reset`.

    Raises:
        MissingToolError: It is no such answer: nft is not what it should be.
    """
    try:
        items = [item["counter"] for item in json.loads(text)["nftables"] if "counter" in item]
        found = {item["name"]: int(item["packets"]) for item in items}
    except (ValueError, KeyError, TypeError):
        found = {}
    if not found.keys() >= set(HOOKS):
        said = repr(text[:80]) if text else "nothing"
        raise MissingToolError(
            f"`nft -j` printed {said} where counters were asked for",
            "check that no other nft is on PATH, and that it has its JSON support",
        )
    return found


def ask(namespaces: Sequence[NetNS]) -> process.Running:
    """Begin to read them, and set them to 0; `told` has the answer.

    To `list` them, nft 1.0.6 first reads all rules of the namespace: 33 ms on a legacy node, not 8.
    """
    argv = ["nft", "-j", "reset", "counters", "table", "inet", _TABLE]
    return process.Running([process.Job(argv, None, ns) for ns in namespaces])


def told(asking: process.Running) -> list[dict[str, int]]:
    """Hook → packets since `install`, for each namespace asked."""
    found = [parse_counters(text) for text in asking.outputs()]
    return [{hook: counters[hook] for hook in HOOKS} for counters in found]
