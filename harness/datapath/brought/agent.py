# SPDX-License-Identifier: Apache-2.0
"""A datapath that an agent installs: the table `[command]`."""

from __future__ import annotations

from harness.datapath.base import Datapath
from harness.datapath.brought.description import Description
from harness.datapath.brought.table import Table
from harness.plumbing.trusted import TrustedDirectory


def from_table(description: Description, table: Table, directory: TrustedDirectory) -> Datapath:
    """The datapath that the table `[command]` describes."""
    del description, directory
    table.fail("", "agents are not built yet")
