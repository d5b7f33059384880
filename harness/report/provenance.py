# SPDX-License-Identifier: Apache-2.0
"""What the numbers were made with: whole names of the arms, machines, hosts."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from msgspec import convert, to_builtins

from harness.report.model import Report
from harness.results.comparison import HostFacts
from harness.results.run import Run


def surroundings(report: Report) -> dict[str, object]:
    """What is alike is said once, with everything that it holds for."""
    names: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    hosts: dict[tuple[str, str], tuple[HostFacts, dict[str, None]]] = {}
    for run in report.runs:
        for entry in run.comparisons:
            for label, arm in entry.arms.items():
                for node, name in arm.nodes.items():
                    places, labels = names.setdefault(name, ({}, {}))
                    places[f"{entry.testbed} {node}"] = labels[label] = None
                for host, facts in arm.hosts.items():
                    text = json.dumps(to_builtins(facts), sort_keys=True)
                    alike = convert(json.loads(text), HostFacts)  # its sysctls in order
                    _, places = hosts.setdefault((host, text), (alike, {}))
                    places[f"{entry.testbed} {label}"] = None
    return {
        "whole_names": [
            (", ".join(labels), name, list(places)) for name, (places, labels) in names.items()
        ],
        "hosts": [(host, facts, list(at)) for (host, _), (facts, at) in hosts.items()],
        "machines": [(run, _facts(run)) for run in report.runs[::-1]],
    }


def _facts(run: Run) -> list[tuple[str, str]]:
    """The machine's facts as lines, and the run's own."""
    lines = [
        ("command", shlex.join(run.command)),
        ("commit", _commit(run)),
        ("seed", str(run.seed)),
    ]
    for key, value in to_builtins(run.machine).items():
        if isinstance(value, Mapping):
            text = ", ".join(f"{name} {item}" for name, item in value.items())
        elif isinstance(value, list):
            text = ", ".join(map(str, value))
        elif isinstance(value, bool):
            text = "yes" if value else "no"
        else:
            text = str(value)
        lines.append((key.replace("_", " "), text))
    absent = {"accelerator": "none of hostroute's"}
    return [(key, text or absent.get(key, "unknown")) for key, text in lines]


def _commit(run: Run) -> str:
    state = {True: ", with uncommitted changes", False: "", None: ", state unknown"}[run.git.dirty]
    return f"{run.git.commit}{state}" if run.git.commit else ""
