# SPDX-License-Identifier: Apache-2.0
"""What became of every test on a kernel, by its junit.xml; kernels side by side. Floor 7."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from harness import safe_read
from harness.printable import aligned

#: Words of a cell, in the order in which a cell has them.
WORDS = {"passed": "ok", "failed": "FAILED", "error": "ERROR", "skipped": "skipped"}
_ID = re.compile(r"_hr([0-9]{2})_")
_LARGEST = 64 << 20  # bytes; of 2,500 tests it has one
_LONGEST = 1000  # characters of a reason


@dataclass(frozen=True)
class Outcome:
    """A test's.

    Attributes:
        test: Its id, as pytest writes it.
        identity: The entry of the catalogue it asserts, such as HR-07; empty: none.
        outcome: A key of `WORDS`.
        reason: The first line of why it failed or was skipped.
    """

    test: str
    identity: str
    outcome: str
    reason: str


def read(path: Path) -> list[Outcome]:
    """A junit.xml of pytest's; one that is missing, cut off or no such file has none."""
    try:
        found = ElementTree.fromstring(safe_read.read(path, _LARGEST))
    except (OSError, ElementTree.ParseError, ValueError, LookupError):  # the last two: encodings
        return []
    return [_outcome(case) for case in found.iter("testcase")]


def _outcome(case: ElementTree.Element) -> Outcome:
    name = case.get("name", "")
    found = _ID.search(name.partition("[")[0])  # a control's parameters name what must fail
    test = f"{case.get('classname', '').replace('.', '/')}.py::{name}"
    for tag, outcome in (("failure", "failed"), ("error", "error"), ("skipped", "skipped")):
        element = case.find(tag)
        if element is not None:
            reason = (element.get("message") or element.text or "").strip()
            first = reason.splitlines()[0][:_LONGEST] if reason else ""
            return Outcome(test, f"HR-{found[1]}" if found else "", outcome, first)
    return Outcome(test, f"HR-{found[1]}" if found else "", "passed", "")


def counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Outcome → how many, in the order of `WORDS`."""
    counted = Counter(outcome.outcome for outcome in outcomes)
    return {name: counted[name] for name in WORDS if counted[name]}


def cell(outcomes: Sequence[Outcome]) -> str:
    """`8 ok`, `6 ok 2 FAILED`; a dot for nothing."""
    found = counts(outcomes)
    return " ".join(f"{count} {WORDS[name]}" for name, count in found.items()) or "."


def table(
    columns: Mapping[str, Sequence[Outcome]], titles: Mapping[str, str] | None = None
) -> list[str]:
    """Assertions as rows, kernels as columns; a row for tests that assert none.

    Args:
        columns: Head of the column → the outcomes on that kernel.
        titles: Entry of the catalogue → what it asserts.
    """
    titles = titles or {}
    identities = sorted(
        {o.identity for outcomes in columns.values() for o in outcomes if o.identity}
    )
    rows = [["", *columns]]
    for identity in [*identities, ""]:
        cells = [cell([o for o in outcomes if o.identity == identity])
                 for outcomes in columns.values()]  # fmt: skip
        if identity or any(text != "." for text in cells):
            head = f"{identity}  {titles.get(identity, '')}" if identity else "other tests"
            rows.append([head.rstrip(), *cells])
    return aligned(rows)
