# SPDX-License-Identifier: Apache-2.0
"""Reads a description: TOML → datapath, by the kind that it is of."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from harness.datapath.base import Datapath
from harness.datapath.brought import agent, elf
from harness.datapath.brought.claimed import claims_of, values_of
from harness.datapath.brought.description import Description, DescriptionError, TestbedNeeds
from harness.datapath.brought.table import Table
from harness.datapath.features import FEATURES
from harness.plumbing.trusted import TrustedDirectory
from harness.topology import Family

_LIMIT = 1 << 20
_TABLES = ("datapath", "testbed", "attach", "map", "command")
_DATAPATH = ("name", "version", "url", "families", "needs", "claims")
_TESTBED = ("gateway", "forwarding", "uplinks")
#: What `--datapath a,b` can name, and a test's id can hold.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FAMILIES = tuple(family.name for family in Family)


def read(path: Path) -> Datapath:
    """The datapath that a file describes.

    Raises:
        DescriptionError: The file is wrong, or names another that is missing or not trusted.
        ClaimError: It claims what no datapath can.
        BuildError: An object is none, or lacks a program.
    """
    try:
        directory = TrustedDirectory(path, _LIMIT)
    except OSError as error:
        raise DescriptionError(f"{path}: cannot be read ({error.strerror})") from None
    with directory:
        top = Table(str(path), "", _parse(path, directory.file.content))
        description = _description(path, directory.file.sha256, top)
        kind = _kind(top)
        if kind == "command":
            found: Datapath = agent.from_table(description, top.table(kind), directory)
        else:
            found = elf.from_tables(description, top.tables("attach"), top.tables("map"), directory)
        top.end(_TABLES)
        return found


def _parse(path: Path, content: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DescriptionError(f"{path}: is not TOML ({error})") from None


def _kind(top: Table) -> str:
    """`attach` or `command`, whichever is there."""
    kinds = [kind for kind in ("attach", "command") if top.has(kind)]
    if len(kinds) != 1:
        what = "has both [[attach]] and [command]" if kinds else "has no [[attach]] nor [command]"
        raise DescriptionError(f"{top.file}: {what}", "describe programs or an agent")
    return kinds[0]


def _description(path: Path, sha256: str, top: Table) -> Description:
    table = top.table("datapath")
    name = table.name("name")
    if not _NAME.fullmatch(name):
        table.fail("name", f"{name!r} is no name", "use letters, digits, `.`, `_` and `-`")
    families = frozenset(Family[one] for one in table.names("families", _FAMILIES, _FAMILIES))
    if not families:
        table.fail("families", "is empty", f"use {', '.join(_FAMILIES)}")
    claims = table.table("claims")
    values = values_of(claims, families)
    found = Description(
        path, sha256, name, table.name("version", ""), table.name("url", ""), families,
        claims_of(claims.where(), values), frozenset(table.names("needs", tuple(FEATURES), ())),
        _testbed(top.table("testbed")), frozenset(values),
    )  # fmt: skip
    table.end(_DATAPATH)
    return found


def _testbed(table: Table) -> TestbedNeeds:
    found = TestbedNeeds(
        table.choice("gateway", ("lxc", "nowhere"), "nowhere"),
        table.take("forwarding", bool, True),
        table.choice("uplinks", ("all", "first"), "all"),
    )
    table.end(_TESTBED)
    return found
