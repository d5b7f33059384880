# SPDX-License-Identifier: Apache-2.0
"""Command-line options of measuring, and their checks."""

from __future__ import annotations

import math

import pytest

from harness import datapath as datapaths
from harness.plumbing.errors import UnknownNameError

#: Time for measuring by default: so much for each arm of a run.
SECONDS_PER_ARM = 90
REQUIREMENTS = ("faster", "not-slower")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add to the group `host routing`."""
    group = parser.getgroup("host routing")
    group.addoption(
        "--arms", default="legacy,bpf", metavar="NAME,NAME[,…]",
        help="datapaths to compare; the first is the baseline of the others (default %(default)s)",
    )  # fmt: skip
    group.addoption(
        "--bench-seed", type=int, metavar="N",
        help="decides the order of builds and rounds (default: drawn, and recorded)",
    )  # fmt: skip
    group.addoption(
        "--bench-budget", type=float, metavar="SECONDS",
        help=f"time for all measuring of the run (default: {SECONDS_PER_ARM} for each arm)",
    )  # fmt: skip
    group.addoption(
        "--require", choices=REQUIREMENTS, metavar="|".join(REQUIREMENTS),
        help="fail where the verdict on an arm against the baseline is not so",
    )  # fmt: skip


def chosen_arms(config: pytest.Config) -> list[str]:
    """The datapaths to compare, the baseline first.

    Raises:
        UnknownNameError: One is unknown or named twice, or there are fewer than two.
    """
    text = config.getoption("--arms")
    names = [datapaths.find(name).name for name in text.split(",") if name]
    if len(names) < 2 or len(set(names)) < len(names):
        raise UnknownNameError(
            f"--arms {text}: two different datapaths or more are needed",
            "a datapath against itself is measured anyway, as the noise floor",
        )
    return names


def budget(config: pytest.Config) -> float:
    """Seconds for all measuring.

    Raises:
        UnknownNameError: There would be none.
    """
    asked: float | None = config.getoption("--bench-budget")
    if asked is not None and not (math.isfinite(asked) and asked > 0):
        raise UnknownNameError(f"--bench-budget {asked:g}: that is no time", "name seconds")
    return asked or SECONDS_PER_ARM * len(chosen_arms(config))


def seed(config: pytest.Config) -> int | None:
    """The seed asked for.

    Raises:
        UnknownNameError: It is negative.
    """
    asked: int | None = config.getoption("--bench-seed")
    if asked is not None and asked < 0:
        raise UnknownNameError(f"--bench-seed {asked} is negative", "use 0 or more")
    return asked
