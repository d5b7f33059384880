# SPDX-License-Identifier: Apache-2.0
"""`hostroute datapaths`: what `--datapath` may name, and what each claims."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator

from harness.cli.command import Command, add_bring
from harness.cli.output import show, show_json
from harness.datapath import DATAPATHS, find
from harness.datapath.brought import bring_all
from harness.datapath.claims import declined
from harness.datapath.features import FEATURES

_WIDTH, _INDENT = 100, " " * 14
_UNBROKEN = "\N{NO-BREAK SPACE}"


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_bring(parser)
    parser.add_argument("--json", action="store_true", help="for machines")


def _document(name: str) -> dict[str, object]:
    datapath = find(name)
    return {
        "name": name, "summary": datapath.summary, "needs": sorted(datapath.needs),
        "claims": str(datapath.claims).split("; ") if str(datapath.claims) else [],
        "declines": list(declined(datapath.claims)),
    }  # fmt: skip


def _run(arguments: argparse.Namespace) -> int:
    bring_all(arguments.bring)
    if arguments.json:
        show_json([_document(name) for name in DATAPATHS.names()], indent=2)
        return 0
    for name in DATAPATHS.names():
        datapath = find(name)
        needs = ", ".join(_title(need) for need in sorted(datapath.needs)) or "no helper"
        show(f"{name:<14}{datapath.summary}; needs {needs}")
        claimed = str(datapath.claims).split("; ") if str(datapath.claims) else []
        show(*_listed("claims", claimed), *_listed("declines", list(declined(datapath.claims))))
    return 0


def _title(need: str) -> str:
    """As `bpf_fib_lookup`, or `tcx`."""
    feature = FEATURES.get(need)
    return f"bpf_{need}" if feature is None or feature.kind == "helper" else need


def _listed(head: str, words: list[str]) -> Iterator[str]:
    """A list in lines that break between its items."""
    joined = "; ".join(word.replace(" ", _UNBROKEN) for word in words) or "nothing"
    for line in textwrap.wrap(f"{head} {joined}", _WIDTH - len(_INDENT), break_on_hyphens=False):
        yield _INDENT + line.replace(_UNBROKEN, " ")


COMMAND = Command("datapaths", "list the datapaths and their claims", _arguments, _run)
