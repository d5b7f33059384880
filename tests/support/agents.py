# SPDX-License-Identifier: Apache-2.0
"""Small agents, right but for one fault, and descriptions that name them."""

from __future__ import annotations

from pathlib import Path

#: Answers everything rightly and does nothing. `FAULT` stands before the answer is printed.
SCRIPT = """#!/usr/bin/env python3
import json, os, signal, subprocess, sys
{start}
for line in sys.stdin:
    request = json.loads(line)
    verb = request["verb"]
    answer = {{"ok": True}}
    if verb == "VERSION":
        answer["protocol"] = 1
    {fault}
    print(json.dumps(answer), flush=True)
"""
DESCRIPTION = """
[datapath]
name = "{name}"

[datapath.claims]
{claims}

[command]
argv = ["./agent", "an argument"]

[command.deadlines]
{deadlines}
"""
CLAIMS = 'bypasses_stack = true\ndelivers = "peer"\nforwards = "neigh"'


def describe(
    directory: Path, fault: str = "pass", start: str = "", *,
    claims: str = CLAIMS, deadlines: str = "", name: str = "faulty", script: str = SCRIPT,
) -> Path:  # fmt: skip
    """An agent in a directory, and the description that names it.

    Args:
        directory: Where.
        fault: Statements, on one line or indented by four, before each answer.
        start: Statements before the first request.
        claims: Lines of `[datapath.claims]`.
        deadlines: Lines of `[command.deadlines]`.
        name: The datapath's.
        script: The whole program, instead.
    """
    program = directory / "agent"
    program.write_text(script.format(start=start, fault=fault) if script == SCRIPT else script)
    program.chmod(0o755)
    description = directory / "agent.toml"
    text = DESCRIPTION.format(name=name, claims=claims, deadlines=deadlines)
    description.write_text(text, encoding="utf-8")
    return description
