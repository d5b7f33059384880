# SPDX-License-Identifier: Apache-2.0
"""Datapaths of others, described by a TOML file: `--bring FILE.toml`, docs/your-datapath.md."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.datapath import DATAPATHS, Datapath
from harness.datapath.brought.description import Description, DescriptionError, TestbedNeeds
from harness.datapath.brought.reader import read


def bring(path: Path | str) -> Datapath:
    """Read a description and register its datapath, under its name.

    Raises:
        DescriptionError: The file is wrong or not trusted, or its name is another datapath's.
        ClaimError: It claims what no datapath can.
        BuildError: An object is none, or lacks a program.
    """
    found = read(Path(path))
    known = DATAPATHS.get(found.name)
    if known is not None and known != found:
        raise DescriptionError(
            f"{path}: [datapath] name: there is a datapath {found.name!r} already",
            "give yours another name",
        )
    DATAPATHS.register(found.name, found)
    return found


def files_of(datapaths: Iterable[Datapath]) -> tuple[Path, ...]:
    """Every file that brought datapaths are read from, for whoever takes them elsewhere."""
    return tuple(path for one in datapaths for path in getattr(one, "paths", ()))


def bring_all(paths: Iterable[Path | str]) -> list[Datapath]:
    """`bring` each, in order."""
    return [bring(path) for path in paths]


__all__ = ["Description", "DescriptionError", "TestbedNeeds", "bring", "bring_all", "files_of",
           "read"]  # fmt: skip
