# SPDX-License-Identifier: Apache-2.0
"""`hostroute status`: BPF or Legacy, why, and on request the proof."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from harness.cli.command import Command, add_bring, add_settings, asked_for, features, settings
from harness.cli.output import show, show_json
from harness.cli.proof import Proof, prove
from harness.datapath import Decision, decision_on
from harness.plumbing.errors import LEGACY, NOT_PROVEN, UnknownNameError
from harness.testbed.prerequisites import check_machine, check_privileges, describe_machine


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--datapath",
        metavar="NAME",
        help="the datapath asked for (default: what --bring names, or bpf)",
    )
    add_bring(parser)
    add_settings(parser)
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument("--require", metavar="bpf", help=f"exit {LEGACY} when it is Legacy")
    parser.add_argument(
        "--verify", action="store_true",
        help="ping, or ask a service, through throw-away testbeds, say what is attached and what"
        f" the counters prove; exit {NOT_PROVEN} when BPF is claimed and not proven",
    )  # fmt: skip


def _headline(decision: Decision | None) -> str:
    return "Host Routing: Legacy (asked for)" if decision is None else str(decision)


def _requirement_lines(decision: Decision | None) -> list[str]:
    checks = decision.checks if decision is not None else ()
    return [
        f"  {check.requirement:<16}{'met' if check.met else 'UNMET':<7}{check.detail}"
        for check in checks
    ]


def _proof_lines(proof: Proof, bpf: bool) -> list[str]:
    lines = []
    for label, passages in (("", proof.passages), (" through the legacy control", proof.control)):
        for passage in passages:
            where = f"{passage.testbed}, {passage.node}"
            lines += ["", f"one {passage.family.name} {passage.asked} on {where}{label}"]
            lines += [f"  {line}" for line in passage.lines()]
    return [*lines, "", _verdict(proof, bpf)]


def _verdict(proof: Proof, bpf: bool) -> str:
    claim = "BPF, past the node's stack" if bpf else "Legacy, through the node's stack"
    return f"proven: {claim}" if proof.proven else f"not proven ({'; '.join(proof.doubts)})"


def _document(datapath: str, decision: Decision | None, proof: Proof | None) -> object:
    document: dict[str, object] = {
        "host_routing": "BPF" if decision is not None and decision.bpf else "Legacy",
        "reasons": list(decision.reasons) if decision is not None else ["asked for"],
        "datapath": datapath,
        "machine": describe_machine(),
        "requirements": [asdict(check) for check in decision.checks] if decision else [],
    }
    if proof is not None:
        document["proof"] = {
            "claim": document["host_routing"],
            "proven": proof.proven,
            "doubts": list(proof.doubts),
            "passages": [passage.as_json() for passage in proof.passages],
            "control": [passage.as_json() for passage in proof.control],
        }
    return document


def _run(arguments: argparse.Namespace) -> int:
    datapath = asked_for(arguments)
    asked = settings(arguments)
    if arguments.require not in (None, "bpf"):
        raise UnknownNameError(f"--require {arguments.require!r} is unknown", "use bpf")
    check_privileges()
    if arguments.verify:
        check_machine()
    kernel = features(arguments, datapath.needs)
    decision = decision_on(datapath, asked, kernel)
    bpf = decision is not None and decision.bpf
    proof = prove(datapath, asked, kernel, claimed=bpf) if arguments.verify else None
    if arguments.json:
        show_json(_document(datapath.name, decision, proof), indent=2)
    else:
        # The proof is a hundred lines: its verdict stands above them too.
        show(_headline(decision), *([_verdict(proof, bpf)] if proof is not None else ()))
        show(f"  {datapath.name} on {describe_machine()}", *_requirement_lines(decision))
        if proof is not None:
            show(*_proof_lines(proof, bpf))
    if bpf and proof is not None and not proof.proven:
        return NOT_PROVEN
    return LEGACY if arguments.require and not bpf else 0


COMMAND = Command(
    "status",
    "what a node of these testbeds gets on this kernel: BPF or Legacy, each requirement, the proof;"
    " it asks nothing of a CNI that runs here",
    _arguments,
    _run,
)
