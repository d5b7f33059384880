# SPDX-License-Identifier: Apache-2.0
"""Claims as a description or an agent writes them: `delivers = "peer"`, `too_big = ["ipv4"]`."""

from __future__ import annotations

from typing import Any

from harness.datapath.brought.table import Table
from harness.datapath.claims import CLAIMS, Claim, ClaimError, Claims, text
from harness.topology import Family

_WORDS: dict[str, object] = {"yes": True, "no": False, "none": ""}
_FAMILIES = tuple(family.name for family in Family)


def values_of(table: Table, families: frozenset[Family]) -> dict[str, Any]:
    """What a table claims, by name, each value such as its claim may have.

    Args:
        table: Whose keys are claims.
        families: What the datapath forwards at all.

    Raises:
        ClaimError: There is no such claim, or it cannot have that value.
    """
    values: dict[str, Any] = {}
    for key, value in table.rest().items():
        claim = CLAIMS.get(key)
        if claim is None:
            known = f"use {', '.join(CLAIMS)}"
            raise ClaimError(f"{table.where(key)}: there is no such claim", known)
        values[key] = _value(claim, value, families)
        if not claim.accepts(values[key]):
            known = "yes, no, " if claim.by_family else ""
            known += ", ".join(text(one) for one in claim.values)
            raise ClaimError(f"{table.where(key)}: it cannot be {value!r}", f"use {known}")
    return values


def claims_of(where: str, values: dict[str, Any]) -> Claims:
    """Claims of such values; the others are what the plain stack does.

    Raises:
        ClaimError: They contradict each other; the message begins with `where`.
    """
    try:
        return Claims(**values)
    except ClaimError as error:
        raise ClaimError(f"{where}: {error.what}", error.todo) from None


def _value(claim: Claim, value: object, families: frozenset[Family]) -> object:
    """A value as the file has it → as `Claims` has it; what is neither stays as it is."""
    if isinstance(value, str):
        value = _WORDS.get(value, value)
    if not claim.by_family:
        return value
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")] if value else False
    if isinstance(value, bool):
        return families if value else frozenset()
    if isinstance(value, list) and all(one in _FAMILIES for one in value):
        named = frozenset(Family[one] for one in value)
        return named if named <= families else value
    return value
