# SPDX-License-Identifier: Apache-2.0
"""`hostroute claims`: what a datapath may say that it does, and what rests on each."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from harness.cli.command import Command
from harness.cli.output import show
from harness.datapath.catalogue import CATALOGUE
from harness.datapath.claims import CLAIMS, Claim, text


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--markdown", action="store_true", help="the table of docs/own-tests.md")


def _run(arguments: argparse.Namespace) -> int:
    show(*(markdown() if arguments.markdown else _plain()))
    return 0


def values(claim: Claim) -> str:
    """What a claim may be, for people."""
    known = ", ".join(map(text, claim.values))
    if claim.by_family:
        return f"a set of {known}"
    return known if claim.family is None else f"{known} ({claim.family.name} only)"


def _core() -> str:
    ids = ", ".join(identity for identity, entry in CATALOGUE.items() if entry.core)
    return f"The core: {ids}. No datapath that bypasses the stack can decline it"


def _parts() -> str:
    """Which tests of the core rest on a claim that can be declined all the same."""
    found = [
        f"tests of {identity} that rest on {claim.name}"
        for claim in CLAIMS.values()
        for identity in claim.ids
        if claim.declinable and CATALOGUE[identity].core
    ]
    return f", except for {', '.join(found)}" if found else ""


def _plain() -> Iterator[str]:
    for claim in CLAIMS.values():
        kind = "can be declined" if claim.declinable else "decides what is expected"
        yield f"{claim.name}: {values(claim)}; {kind}"
        yield f"    {claim.meaning}"
        yield f"    {', '.join(claim.ids)}"
    yield f"{_core()}{_parts()}."


def markdown() -> Iterator[str]:
    """The same as a table, and a sentence on the core."""
    yield "| claim | values | means | can be declined | entries that rest on it |"
    yield "|---|---|---|---|---|"
    for claim in CLAIMS.values():
        declinable = "yes" if claim.declinable else ""
        ids = ", ".join(identity.removeprefix("HR-") for identity in claim.ids)
        name, meaning = f"`{claim.name}`", claim.meaning.replace("|", r"\|")
        yield f"| {name} | {values(claim)} | {meaning} | {declinable} | {ids} |"
    yield ""
    yield f"{_core()}{_parts()}."


COMMAND = Command(
    "claims", "list what a datapath may claim, and what rests on it", _arguments, _run
)
