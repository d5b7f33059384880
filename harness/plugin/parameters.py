# SPDX-License-Identifier: Apache-2.0
"""Every test once for each datapath and family it asks for; ids and markers from names."""

from __future__ import annotations

import re
from typing import Any

import pytest

from harness import datapath as datapaths
from harness.datapath import CLAIMS, Datapath
from harness.plugin.options import chosen_datapaths, chosen_entries, fits
from harness.plumbing.errors import HarnessError
from harness.topology import Family
from pytest_hostroute import is_ours

_KNOWN = ", ".join(CLAIMS)
_ID = re.compile(r"_hr(\d\d)_")


def catalogue_id(name: str) -> str | None:
    """`HR-07` of `test_hr07_legs_same_node`; what its parameters are called does not count."""
    match = _ID.search(name.partition("[")[0])
    return f"HR-{match[1]}" if match else None


def generate(metafunc: pytest.Metafunc) -> None:
    """Parametrize `datapath` and `family` over all values; `--hr-datapath` deselects later."""
    if "datapath" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("datapaths")
        names = marker.args if marker else datapaths.DATAPATHS.loadable()
        each = {name: datapaths.find(name) for name in names}
        found = {name: one for name, one in each.items() if _applies(metafunc.definition, one)}
        metafunc.parametrize("datapath", list(found.values()), ids=list(found))
    if "family" in metafunc.fixturenames:
        metafunc.parametrize("family", list(Family), ids=[family.name for family in Family])


def _applies(test: pytest.Item, datapath: Datapath) -> bool:
    """Whether a datapath's claims have the values that a test asks for."""
    wanted = [
        (name, value)
        for mark in test.iter_markers("claims")
        for name, value in mark.kwargs.items()
        if name != "family"
    ]
    for name, _ in wanted:
        if name not in CLAIMS:
            raise pytest.Collector.CollectError(f"claim {name!r} is unknown: use one of {_KNOWN}")
    return all(getattr(datapath.claims, name) == value for name, value in wanted)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark by name and place, and drop datapaths and entries that were not asked for."""
    chosen, entries = chosen_datapaths(config), chosen_entries(config)
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        if not is_ours(item):
            (dropped if entries else kept).append(item)
            continue
        identity = catalogue_id(item.name)
        if identity:
            item.add_marker(pytest.mark.hr(identity))
            item.user_properties.append(("hr", identity))
            if item.get_closest_marker("control") is None:
                item.add_marker(pytest.mark.conformance)
            else:  # keywords would not tell: a directory's name is one of them
                item.user_properties.append(("control", True))
        datapath = parameters_of(item).get("datapath")
        if datapath is not None:
            item.user_properties.append(("datapath", datapath.name))
        wanted = not entries or identity in entries
        wanted &= datapath is None or (datapath.name in chosen and fits(config, datapath))
        (kept if wanted else dropped).append(item)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse a run of which a datapath that was asked for is missing, as it cannot be loaded."""
    if not any("datapath" in parameters_of(item) for item in session.items):
        return
    try:
        for name in chosen_datapaths(session.config):
            datapaths.find(name)
    except HarnessError as error:
        pytest.exit(f"hostroute: {error}", returncode=error.exit_code)


def parameters_of(item: pytest.Item) -> dict[str, Any]:
    """What a test of ours was generated with."""
    parameters = getattr(item, "callspec", None)
    return parameters.params if parameters is not None and is_ours(item) else {}
