# SPDX-License-Identifier: Apache-2.0
"""What a description says of a datapath, whichever kind it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.datapath.claims import BOTH, Claims
from harness.plumbing.errors import UnknownNameError
from harness.topology import Family


class DescriptionError(UnknownNameError):
    """A description is wrong, or names a file that is not trusted; the message has file and key."""


@dataclass(frozen=True)
class TestbedNeeds:
    """What a datapath needs of every node: the table `[testbed]`.

    Attributes:
        gateway: `lxc`: every lxc has the pods' gateway address; `nowhere`: the node has it not.
        forwarding: Whether the node's stack forwards.
        uplinks: `all`, or `first`: the datapath serves that one only.
    """

    __test__ = False  # not a test class, whatever pytest thinks of the name

    gateway: Literal["lxc", "nowhere"] = "nowhere"
    forwarding: bool = True
    uplinks: Literal["all", "first"] = "all"


@dataclass(frozen=True)
class Description:
    """What every description says.

    Attributes:
        path: The TOML file, as it was named.
        sha256: Of the file, in hexadecimal digits.
        name: The datapath's.
        version: Its own words; may be empty.
        url: Where it comes from; may be empty.
        families: What it forwards at all.
        claims: What it is judged by.
        needs: What it needs of the kernel: names of `features.FEATURES`.
        testbed: What it needs of every node.
        stated: Names of the claims that the file itself makes.
    """

    path: Path = field(compare=False)
    sha256: str
    name: str
    version: str = ""
    url: str = ""
    families: frozenset[Family] = BOTH
    claims: Claims = Claims()  # noqa: RUF009  # frozen
    needs: frozenset[str] = frozenset()
    testbed: TestbedNeeds = TestbedNeeds()
    stated: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        """Name, version and address, as `mine 1.2 (https://…)`."""
        words = f"{self.name} {self.version}".strip()
        return f"{words} ({self.url})" if self.url else words


class Described:
    """What a datapath takes from its description, whichever kind it is.

    Attributes:
        description: What its file says.
    """

    description: Description

    @property
    def name(self) -> str:
        """As in `--datapath`."""
        return self.description.name

    @property
    def summary(self) -> str:
        """What it calls itself, and where it was read."""
        return f"{self.description.title}, of {self.description.path}"

    @property
    def version(self) -> str:
        """Its own words; may be empty."""
        return self.description.version

    @property
    def url(self) -> str:
        """Where it comes from; may be empty."""
        return self.description.url

    @property
    def needs(self) -> frozenset[str]:
        """What it needs of the kernel: names of `features.FEATURES`."""
        return self.description.needs

    @property
    def families(self) -> frozenset[Family]:
        """What it forwards at all."""
        return self.description.families

    @property
    def claims(self) -> Claims:
        """What it is judged by."""
        return self.description.claims
