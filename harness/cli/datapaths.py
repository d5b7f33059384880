# SPDX-License-Identifier: Apache-2.0
"""`hostroute datapaths`: what `--datapath` may name, and what each claims."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator

from harness.cli.command import Command, add_bring
from harness.cli.output import show
from harness.datapath import CLAIMS, DATAPATHS, Claims, find
from harness.datapath.brought import bring_all
from harness.datapath.claims import text
from harness.datapath.features import FEATURES
from harness.topology import Family

_WIDTH, _INDENT = 100, " " * 14
_UNBROKEN = "\N{NO-BREAK SPACE}"


def _run(arguments: argparse.Namespace) -> int:
    bring_all(arguments.bring)
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


def declined(claims: Claims) -> Iterator[str]:
    """What a datapath declines, in the order of the table; of a claim by family, for which."""
    for claim in CLAIMS.values():
        value = getattr(claims, claim.name)
        if claim.declinable and claim.by_family:
            families = frozenset(f for f in Family if claim.declined(value, f))
            yield from [f"{claim.name} = {text(families)}"] if families else []
        elif claim.declinable and claim.declined(value):
            yield claim.name


def _listed(head: str, words: list[str]) -> Iterator[str]:
    """A list in lines that break between its items."""
    joined = "; ".join(word.replace(" ", _UNBROKEN) for word in words) or "nothing"
    for line in textwrap.wrap(f"{head} {joined}", _WIDTH - len(_INDENT), break_on_hyphens=False):
        yield _INDENT + line.replace(_UNBROKEN, " ")


COMMAND = Command("datapaths", "list the datapaths and their claims", add_bring, _run)
