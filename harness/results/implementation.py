# SPDX-License-Identifier: Apache-2.0
"""What a run judged: a datapath, as it names itself and as the kernel loaded it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from harness.results.part import Part, Text

Tag = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class Implementation(Part, frozen=True, kw_only=True):
    """A datapath.

    Attributes:
        name: As in `--datapath`.
        summary: What forwards, in a few words.
        claims: What it says it does: claim → value, as people read it.
        unclaimed: What it declines: `too_big = ipv4`, or a claim's name alone.
        version: Its own; empty: it says none.
        url: Where it comes from; empty: it does not say.
        objects: File → SHA-256, of the programs that were loaded from files.
        programs: Name → tag, of the programs seen on the nodes' hooks.
    """

    name: Text
    summary: str
    claims: dict[str, str]
    unclaimed: list[str]
    version: str = ""
    url: str = ""
    objects: dict[str, Digest] = field(default_factory=dict)
    programs: dict[str, Tag] = field(default_factory=dict)
