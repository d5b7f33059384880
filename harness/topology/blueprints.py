# SPDX-License-Identifier: Apache-2.0
"""The table of testbeds: what each is made of, and its drawing."""

from __future__ import annotations

from dataclasses import dataclass

from harness.plumbing.registry import Registry
from harness.topology.description import Topology


@dataclass(frozen=True)
class Blueprint:
    """A testbed as it is registered, before anything is built.

    Attributes:
        topology: What it is made of.
        drawing: Its hosts and interfaces, drawn in plain text.
    """

    topology: Topology
    drawing: str = "no drawing"


#: Name → blueprint. Packages register theirs: see `harness.plumbing.registry`.
TESTBEDS: Registry[Blueprint] = Registry("testbed", Blueprint)
