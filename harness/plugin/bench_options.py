# SPDX-License-Identifier: Apache-2.0
"""The values of the options of benchmarks, and their checks."""

from __future__ import annotations

import math

import pytest

from harness import datapath as datapaths
from harness.plugin.options import option
from harness.plumbing.errors import UnknownNameError

#: Time for measuring by default: so much for each arm of a run.
SECONDS_PER_ARM = 90


def chosen_arms(config: pytest.Config) -> list[str]:
    """The datapaths to compare, the baseline first.

    Raises:
        UnknownNameError: One is unknown or named twice, or there are fewer than two.
    """
    text = option(config, "arms")
    names = [datapaths.find(name).name for name in text.split(",") if name]
    if len(names) < 2 or len(set(names)) < len(names):
        raise UnknownNameError(
            f"--hr-arms {text}: two different datapaths or more are needed",
            "a datapath against itself is measured anyway, as the noise floor",
        )
    return names


def budget(config: pytest.Config) -> float:
    """Seconds for all measuring.

    Raises:
        UnknownNameError: There would be none.
    """
    asked: float | None = option(config, "bench-budget")
    if asked is not None and not (math.isfinite(asked) and asked > 0):
        raise UnknownNameError(
            f"--hr-bench-budget {asked:g} is not a time", "pass a positive number of seconds"
        )
    return asked or SECONDS_PER_ARM * len(chosen_arms(config))


def seed(config: pytest.Config) -> int | None:
    """The seed asked for.

    Raises:
        UnknownNameError: It is negative.
    """
    asked: int | None = option(config, "bench-seed")
    if asked is not None and asked < 0:
        raise UnknownNameError(f"--hr-bench-seed {asked} is negative", "use 0 or more")
    return asked
