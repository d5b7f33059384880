# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin's rooms. `pytest_hostroute` registers them when a run turns out to be ours."""

from __future__ import annotations

from importlib import import_module

import pytest

#: In the order in which their hooks are to run, where pytest has no opinion.
_MODULES = ("options", "termination", "prerequisites", "parameters", "claims", "brief",
            "wrong_legs", "failures", "outcomes", "matrix", "claims_trial", "record",
            "bench", "inconclusive", "annotations")  # fmt: skip


def register(config: pytest.Config) -> None:
    """Take part in a run."""
    for name in _MODULES:
        module = import_module(f"{__name__}.{name}")
        config.pluginmanager.register(module, f"hostroute {name}")
