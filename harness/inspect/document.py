# SPDX-License-Identifier: Apache-2.0
"""What was found and seen as one JSON document; `inspect-1.schema.json` describes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from harness import __version__
from harness.inspect.found import Found
from harness.inspect.ledger import PodTraffic
from harness.inspect.verdict import Verdict
from harness.inspect.window import Seen

#: Of the document; a change that a reader could trip over raises it.
VERSION = 1
SCHEMA = Path(__file__).with_name(f"inspect-{VERSION}.schema.json")


def document(
    found: Found,
    seen: Seen | None,
    verdict: Verdict | None,
    notes: Sequence[str],
    probed: Sequence[Mapping[str, object]] | None = None,
) -> dict[str, object]:
    """The document.

    Args:
        found: What is there.
        seen: What was counted; None: nothing was.
        verdict: What it says of the node.
        notes: What could not be looked at.
        probed: What a probe saw, a row for flows that are alike; None: there was none.
    """
    here = found.devices
    return {
        "version": VERSION,
        "harness": __version__,
        "node": found.node,
        "kernel": asdict(found.kernel) | {"lacks": list(found.kernel.lacks)},
        "pods": [
            {
                "lxc": pod.lxc.name,
                "kind": pod.lxc.kind,
                "interface": pod.interface,
                "addresses": list(pod.addresses),
            }
            for pod in here.pods
        ],
        "uplinks": [each.name for each in here.uplinks],
        "tunnels": [{"name": each.name, "kind": each.kind} for each in here.tunnels],
        "bridges": [
            {"name": each.name, "ports": [p for p, of in here.ports.items() if of == each.name]}
            for each in here.bridges
        ],
        "programs": [asdict(each) | {"helpers": list(each.helpers)} for each in found.programs],
        "sockets": [asdict(each) for each in found.sockets],
        "filters": [asdict(each) for each in found.filters],
        "rules": {
            "read": found.rules.read,
            "forward": [asdict(each) for each in found.rules.forward],
            "kube_proxy": found.rules.kube_proxy,
            "masquerade": found.rules.masquerade,
            "flowtables": [
                asdict(each) | {"devices": list(each.devices)} for each in found.rules.flowtables
            ],
            "offloads": found.rules.offloads,
        },
        "sysctls": found.sysctls,
        "xfrm": dict(zip(("policies", "states"), found.xfrm, strict=True)) if found.xfrm else None,
        "seen": _seen(seen, verdict) if seen and verdict else None,
        "probe": None if probed is None else list(probed),
        "notes": list(notes),
    }


def _seen(seen: Seen, verdict: Verdict) -> dict[str, object]:
    return {
        "seconds": round(seen.seconds, 3),
        "host_routing": verdict.host_routing,
        "sentence": str(verdict),
        "packets": verdict.packets,
        "stack": verdict.stack,
        "pods": [_pod(each) for each in verdict.pods],
        "runs": {str(ident): count for ident, count in seen.runs.items()},
        "leaks": [asdict(flow) for flow in verdict.leaks],
        "remarks": verdict.remarks,
    }


def _pod(row: PodTraffic) -> dict[str, object]:
    return asdict(row) | {"addresses": list(row.addresses)}
