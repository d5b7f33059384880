# SPDX-License-Identifier: Apache-2.0
"""A plugin for a child's pytest: for each claim that no bundled datapath declines, one that does.

Each has a fault by which it truly lacks what it declines. Of its tests only those run whose entry
of the catalogue rests on that claim.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from harness.datapath import CLAIMS, DATAPATHS
from testbeds.mutants import MUTANTS, mutated
from testbeds.mutants.claims import DECLINING

PREFIX = "without-"
NAMES = tuple(PREFIX + claim for claim in DECLINING)


def pytest_hostroute_register(suites: list[Path]) -> None:
    """Register them."""
    del suites
    faults = {mutant.name: mutant for mutant in MUTANTS}
    for claim, (fault, changes) in DECLINING.items():
        datapath: Any = mutated(faults[fault])
        claims = dataclasses.replace(datapath.claims, **changes)
        name = PREFIX + claim
        DATAPATHS.register(name, dataclasses.replace(datapath, name=name, claims=claims))


def _concerns(item: pytest.Item) -> bool:
    properties = dict(item.user_properties)
    claim = str(properties.get("datapath", "")).removeprefix(PREFIX)
    return claim in CLAIMS and properties.get("hr") in CLAIMS[claim].ids


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what rests on the claim that is declined."""
    items[:] = filter(_concerns, items)
