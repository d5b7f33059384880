# SPDX-License-Identifier: Apache-2.0
"""What the machine must have before a testbed is built; the status in the header. Floor 8."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

from harness.errors import HarnessError
from harness.evidence import KernelLog
from harness.machine import check_machine, describe_machine, host_routing_status
from harness.signals import deferred


def pytest_report_header(config: pytest.Config) -> list[str]:
    """The kernel, and whether host routing is BPF or Legacy on it."""
    lines = [f"host routing: {describe_machine()}"]
    try:
        with deferred():
            lines += [f"host routing: {line}" for line in host_routing_status()]
    except HarnessError as error:
        lines.append(f"host routing: not known ({error})")
    return lines


@pytest.fixture(scope="session")
def machine() -> None:
    """Ends the run with one line and an exit code if the machine cannot hold a testbed."""
    try:
        check_machine()
    except HarnessError as error:
        pytest.exit(f"hostroute: {error}", returncode=error.exit_code)


@pytest.fixture(scope="session")
def run_log(machine: None) -> Iterator[KernelLog]:
    """The kernel's log since the first testbed of the run."""
    log = KernelLog()
    yield log
    log.close()


@pytest.fixture
def kernel_log(machine: None) -> Iterator[KernelLog]:
    """The kernel's log since the test began."""
    log = KernelLog()
    yield log
    log.close()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Judge the run's kernel log last, when there is something to judge."""
    items.sort(key=lambda item: "run_log" in _parameters(item))


def _parameters(item: pytest.Item) -> list[str]:
    """The fixtures a test names itself; `fixturenames` would list those of its fixtures too."""
    function = getattr(item, "function", None)
    return list(inspect.signature(function).parameters) if function else []
