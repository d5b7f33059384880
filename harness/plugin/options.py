# SPDX-License-Identifier: Apache-2.0
"""Command-line options, checked before anything runs. Floor 8."""

from __future__ import annotations

import math

import pytest

from harness import datapath as datapaths
from harness.datapath import NodeSettings
from harness.errors import HarnessError, UnknownNameError

#: Time for measuring by default: so much for each arm of a run.
SECONDS_PER_ARM = 100
REQUIREMENTS = ("faster", "not-slower")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the group `host routing`."""
    group = parser.getgroup("host routing")
    group.addoption(
        "--datapath", action="append", default=[], metavar="NAME[,NAME]",
        help=f"run only on these datapaths: {', '.join(datapaths.DATAPATHS)}",
    )  # fmt: skip
    group.addoption(
        "--legacy-services", type=int, default=100, metavar="N",
        help="services' worth of kube-proxy rules on the legacy path (default %(default)s)",
    )  # fmt: skip
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
    group.addoption(
        "--keep-pcaps", action="store_true",
        help="keep every test's captures under results/pcaps, not only a failed test's",
    )  # fmt: skip
    group.addoption(
        "--pause", action="store_true",
        help="when a test fails, keep its testbed until Enter is pressed, and say how to enter it",
    )  # fmt: skip


def chosen_datapaths(config: pytest.Config) -> list[str]:
    """The datapaths asked for; all of them if none was named."""
    named = [name for entry in config.getoption("--datapath") for name in entry.split(",") if name]
    return [datapaths.find(name).name for name in named] or list(datapaths.DATAPATHS)


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


def settings(config: pytest.Config) -> NodeSettings:
    """What every node is asked for."""
    return NodeSettings(legacy_services=config.getoption("--legacy-services"))


def pytest_configure(config: pytest.Config) -> None:
    """Refuse options that name what does not exist; one line, a documented exit code."""
    try:
        chosen_datapaths(config)
        settings(config)
        budget(config)
        seed(config)
        if config.getoption("--pause") and config.getoption("capture") != "no":
            raise pytest.UsageError("--pause needs the terminal: add -s")
    except HarnessError as error:
        pytest.exit(f"hostroute: {error}", returncode=error.exit_code)
