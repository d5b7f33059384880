# SPDX-License-Identifier: Apache-2.0
"""What a mutant is, and what must catch it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.bpf.source import Patch
from harness.datapath.kube_proxy import Change


@dataclass(frozen=True)
class Catch:
    """A test that must fail.

    Attributes:
        test: `one_node/test_legs::test_hr07_…`, below testbeds/.
        assertion: The name of the assertion on which it must fail.
        arguments: Values for the test's own parameters.
        families: Which families the fault shows in.
    """

    test: str
    assertion: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    families: tuple[int, ...] = (4, 6)


@dataclass(frozen=True)
class Fault:
    """A fault in the sources of bpf/.

    Attributes:
        name: What is wrong, in a few words.
        patches: How it is made.
        catches: What must notice.
        datapath: What runs beside it; of a mutant, the datapath that is mutated.
    """

    name: str
    patches: tuple[Patch, ...]
    catches: tuple[Catch, ...]
    datapath: str = "legacy"


@dataclass(frozen=True)
class Mutant(Fault):
    """A fault in the datapath.

    Attributes:
        posing_as: The datapath whose claims it makes, if not its own.
        claims: Claims of its own that it changes.
        changes: Changes of the rules of the legacy path.
        nft: More rules that it has, as nft reads them.
    """

    datapath: str = "bpf"
    posing_as: str = ""
    claims: Mapping[str, Any] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    nft: str = ""


def patch(file: str, old: str, new: str) -> tuple[Patch, ...]:
    """One change of one file of bpf/."""
    return (Patch(file, old, new),)


def both(file: str, old: str, new: str) -> tuple[Patch, Patch]:
    """The same change for both families: `@` stands for the digit."""
    ipv4, ipv6 = (Patch(file, old.replace("@", d), new.replace("@", d)) for d in "46")
    return ipv4, ipv6
