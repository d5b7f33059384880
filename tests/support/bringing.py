# SPDX-License-Identifier: Apache-2.0
"""A plugin for a child's pytest: registers datapaths whose descriptions the environment names."""

from __future__ import annotations

import os
from pathlib import Path

from harness.datapath.brought import bring_all

#: Paths of descriptions, joined by os.pathsep.
VARIABLE = "HOSTROUTE_TEST_BRING"


def pytest_hostroute_register(suites: list[Path]) -> None:
    """Register them."""
    del suites
    bring_all(os.environ[VARIABLE].split(os.pathsep))
