# SPDX-License-Identifier: Apache-2.0
"""What the machine must have before a testbed is built; the status in the header."""

from __future__ import annotations

import inspect

import pytest

from harness.plugin.brought import shown_log, try_out
from harness.plumbing.errors import HarnessError
from harness.plumbing.signals import deferred
from harness.testbed.prerequisites import check_machine, describe_machine, host_routing_status

_CHECKED = pytest.StashKey[bool]()


def pytest_report_header(config: pytest.Config) -> list[str]:
    """The kernel, and whether host routing is BPF or Legacy on it."""
    lines = [f"host routing: {describe_machine()}"]
    try:
        with deferred():
            lines += [f"host routing: {line}" for line in host_routing_status()]
    except HarnessError as error:
        lines.append(f"host routing: not known ({error})")
    return lines


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Look at the machine before the tests are collected, where some are going to run."""
    option = session.config.option
    if not (option.collectonly or option.showfixtures or option.show_fixtures_per_test):
        require_machine(session.config)


def require_machine(config: pytest.Config) -> None:
    """End the run with one line and an exit code if it cannot be; asks once.

    It cannot where the machine cannot hold a testbed, or somebody's datapath cannot be installed.
    """
    if config.stash.get(_CHECKED, False):
        return
    try:
        check_machine()
        try_out(config)
    except HarnessError as error:
        log = shown_log(config, error)
        pytest.exit(f"{log}hostroute: {error}", returncode=error.exit_code)
    config.stash[_CHECKED] = True


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Judge the run's kernel log last, when there is something to judge."""
    items.sort(key=lambda item: "hr_run_log" in _parameters(item))


def _parameters(item: pytest.Item) -> list[str]:
    """The fixtures a test names itself; `fixturenames` would list those of its fixtures too."""
    function = getattr(item, "function", None)
    return list(inspect.signature(function).parameters) if function else []
