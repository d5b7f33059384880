# SPDX-License-Identifier: Apache-2.0
"""A plugin for a child's pytest: the suites on changed programs, or on programs that count lines.

The environment says which: HOSTROUTE_MUTANT holds patches as JSON, HOSTROUTE_COVERAGE the file that
takes, for each test, the keys of the places that it executed.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from harness.bpf import pool
from harness.bpf.source import Patch
from harness.datapath import DATAPATHS, HostRouting
from harness.datapath.bpf import LOADED, InstalledBpf
from harness.plumbing.errors import BuildError
from testbeds.mutants.mechanical import coverage

MUTANT, COVERAGE = "HOSTROUTE_MUTANT", "HOSTROUTE_COVERAGE"
#: What the child ends with where the changed programs do not load.
INVALID = 70

_covered: dict[str, set[int]] = {}
_current = [""]


def _bundled() -> dict[str, HostRouting]:
    return {name: entry for name in DATAPATHS if isinstance(entry := DATAPATHS[name], HostRouting)}


def _patched(patches: tuple[Patch, ...]) -> None:
    for name, entry in _bundled().items():
        changed: Any = dataclasses.replace(entry, patches=patches)
        DATAPATHS[name] = changed


def pytest_configure(config: pytest.Config) -> None:
    """Change the programs."""
    del config
    if MUTANT in os.environ:
        _patched(tuple(Patch(**each) for each in json.loads(os.environ[MUTANT])))
        for entry in _bundled().values():
            try:
                pool.give_back(pool.take(entry.source, LOADED))
            except BuildError as error:
                pytest.exit(f"not a program: {error}", returncode=INVALID)
    if COVERAGE in os.environ:
        _patched(coverage.instrumented())
        remove = InstalledBpf.remove

        def noting(installed: InstalledBpf) -> None:
            _covered.setdefault(_current[0], set()).update(coverage.taken(installed.module))
            remove(installed)

        InstalledBpf.remove = noting  # type: ignore[method-assign, assignment]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Know whose lines they are."""
    _current[0] = item.nodeid
    return (yield)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Write what was covered."""
    del config
    if COVERAGE in os.environ:
        content = {test: sorted(keys) for test, keys in _covered.items() if test}
        Path(os.environ[COVERAGE]).write_text(json.dumps(content), encoding="utf-8")
