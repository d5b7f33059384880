# SPDX-License-Identifier: Apache-2.0
"""Command-line options, checked before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import datapath as datapaths
from harness.datapath import NodeSettings
from harness.plumbing import safe_write
from harness.plumbing.errors import HarnessError, RecordError, UnknownNameError

_FILES = "file://"


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
        "--keep-pcaps", action="store_true",
        help="keep every test's captures, not only a failed test's, in pcaps/ where records go",
    )  # fmt: skip
    group.addoption(
        "--pause", action="store_true",
        help="when a test fails, keep its testbed until Enter is pressed, and say how to enter it",
    )  # fmt: skip
    group.addoption(
        "--record", action="store_true",
        help="write a record of what became of every assertion; what measures writes one anyway",
    )  # fmt: skip
    group.addoption(
        "--results", metavar="DIR",
        help="where records and pcaps go, below the root directory (default results); with the =:"
        " pytest takes a directory that stands alone for one of tests",
    )  # fmt: skip


def chosen_datapaths(config: pytest.Config) -> list[str]:
    """The datapaths asked for; all of them if none was named."""
    given = config.getoption("--datapath")
    named = [name for entry in given for name in entry.split(",") if name]
    if given and not named:
        raise UnknownNameError(
            f"--datapath {given[0]!r} names none", f"use {', '.join(datapaths.DATAPATHS)}"
        )
    return [datapaths.find(name).name for name in named] or list(datapaths.DATAPATHS)


def settings(config: pytest.Config) -> NodeSettings:
    """What every node is asked for."""
    return NodeSettings(legacy_services=config.getoption("--legacy-services"))


def results_directory(config: pytest.Config) -> Path:
    """Where records go."""
    return config.rootpath / (config.getoption("--results") or "results")


def check_results(config: pytest.Config) -> None:
    """Refuse a directory that cannot be written, before minutes are spent on what goes there.

    Raises:
        RecordError: It cannot.
    """
    _check_writable(results_directory(config))


def _check_storage(config: pytest.Config) -> None:
    """The same of the directory where pytest-benchmark saves, which follows whatever link it finds.

    Raises:
        RecordError: It cannot be written.
    """
    saves = config.getoption("benchmark_save", None) or config.getoption("benchmark_autosave", None)
    storage = str(config.getoption("benchmark_storage", ""))
    if saves and storage.startswith(_FILES):
        _check_writable(Path(storage.removeprefix(_FILES)))


def _check_writable(path: Path) -> None:
    try:
        safe_write.check_writable(path)
    except OSError as error:
        raise RecordError(
            f"records cannot be written to {path} ({error.strerror})",
            "name a directory that can be written: --results=DIR",
        ) from None


def pytest_configure(config: pytest.Config) -> None:
    """Refuse options that name what does not exist; one line, a documented exit code."""
    try:
        chosen_datapaths(config)
        settings(config)
        if config.getoption("--record") or config.getoption("--results") is not None:
            check_results(config)
        _check_storage(config)
        if config.getoption("--pause") and config.getoption("capture") != "no":
            raise pytest.UsageError("--pause needs the terminal: add -s")
        if getattr(config.option, "dist", "no") != "no":
            raise pytest.UsageError(
                "tests cannot be shared out by pytest-xdist: what is measured would disturb itself,"
                " and a run has one kernel log and one record; leave out -n and --dist"
            )
    except HarnessError as error:
        pytest.exit(f"hostroute: {error}", returncode=error.exit_code)
