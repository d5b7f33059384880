# SPDX-License-Identifier: Apache-2.0
"""What all parts of a record share: how they are read, and the types of their fields.

A part is what the published JSON Schema describes: tests/unit/results/test_schema.py compares them.
Constructing one checks nothing: reading and writing do.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class Part(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):  # fmt: skip
    """A part of a record; a field with a default is one that a record may leave out."""


Text = Annotated[str, Meta(min_length=1)]
#: Why something did not come to its end, in words; None: it did.
Partial = Text | None
#: A number of things; no more than a float can tell apart.
Count = Annotated[int, Meta(ge=0, le=2**53)]
#: What a testbed, a node or a measure was asked for, in words of its own.
Facts = dict[str, object]
Family = Literal["ipv4", "ipv6"]
#: What joins pods to their nodes.
PodDevice = Literal["veth", "netkit", "netkit-l3"]
Better = Literal["lower", "higher"]
#: ISO 8601, with its offset from UTC.
Moment = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
        r"(Z|[+-][0-9]{2}:[0-9]{2})$"
    ),
]


def family_name(version: int) -> Family:
    """What a record calls the family of an IP version, 4 or 6."""
    return "ipv4" if version == 4 else "ipv6"


def pod_device(name: str) -> PodDevice | None:
    """A topology's `pod_device` as a record has it; None: it names none."""
    match name:
        case "veth" | "netkit" | "netkit-l3":
            return name
    return None
