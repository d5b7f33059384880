# SPDX-License-Identifier: Apache-2.0
"""`--hr-brief`: every assertion on every datapath once, whatever else it varies.

For kernels under emulation, where a test takes seconds. An assertion's other parameters (family,
size, offloads) are dealt out over its datapaths, so that most are still met somewhere; what is left
out is deselected and counted as such, never passed. A marker `brief` puts other tests into such
groups: negative controls, of which each mutant and assertion is kept once.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import pytest

from harness.plugin.claims import runs
from harness.plugin.options import option
from pytest_hostroute import is_ours


# Last, when nothing is there but what is going to run.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep one of each assertion's tests for each datapath."""
    if not option(config, "brief"):
        return
    varied = [item for item in items if _is_varied(item)]
    kept = set(choose([(_assertion(item), _datapath(item), runs(item)) for item in varied]))
    dropped = [item for index, item in enumerate(varied) if index not in kept]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        gone = set(dropped)
        items[:] = [item for item in items if item not in gone]


def choose(tests: Sequence[tuple[str, str, bool]]) -> list[int]:
    """Indexes of those to keep; by the assertion's name, so that the same are whatever else runs.

    Args:
        tests: Assertion and datapath of each, in the order of the run, and whether it is claimed:
            one that is not is kept only where all of its group are not.
    """
    groups: dict[str, dict[str, list[int]]] = {}
    claimed = {test[:2] for test in tests if test[2]}
    for index, (assertion, datapath, is_claimed) in enumerate(tests):
        if is_claimed or (assertion, datapath) not in claimed:
            groups.setdefault(assertion, {}).setdefault(datapath, []).append(index)
    return sorted(
        indexes[(crc32(assertion.encode()) + place) % len(indexes)]
        for assertion, datapaths in groups.items()
        for place, indexes in enumerate(datapaths.values())
    )


def _is_varied(item: pytest.Item) -> bool:
    ours = is_ours(item) and item.get_closest_marker("conformance") is not None
    return ours or item.get_closest_marker("brief") is not None


def _assertion(item: pytest.Item) -> str:
    group = item.get_closest_marker("brief")
    return str(group.args[0]) if group else item.nodeid.partition("[")[0]


def _datapath(item: pytest.Item) -> str:
    return str(dict(item.user_properties).get("datapath", ""))
