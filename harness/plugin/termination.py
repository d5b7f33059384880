# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C, SIGTERM and SIGHUP end a run, and leave nothing to the garbage collector. Floor 8.

What was measured is kept. From the first test that needs a testbed on, an interrupt waits until
nothing is open that would not be closed: see `harness/signals.py`.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack

import pytest

from harness.signals import as_interrupts, deferred, interrupt_if_due, take_due

_installed = pytest.StashKey[ExitStack]()
#: Every fixture that opens something asks for it.
_OURS = "machine"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Install the handlers."""
    config.stash[_installed] = stack = ExitStack()
    stack.enter_context(as_interrupts())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Defer interrupts from here on, where a test needs a testbed: other tests open nothing."""
    if any(_OURS in getattr(item, "fixturenames", ()) for item in session.items):
        session.config.stash[_installed].enter_context(deferred())


def _then_interrupt() -> Generator[None, object, object]:
    """A hook, and whatever came of it: what fails of an interrupt is no failure of the test."""
    interrupt_if_due()
    try:
        return (yield)
    finally:
        interrupt_if_due()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    """Between fixtures and test an interrupt may strike."""
    return (yield from _then_interrupt())


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """When the test has ended it may."""
    return (yield from _then_interrupt())


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Generator[None, object, object]:
    """When its fixtures are gone it may."""
    return (yield from _then_interrupt())


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """An interrupt that comes now has nothing left to end; the exit code tells of it."""
    try:
        return (yield)
    finally:
        if take_due():
            session.exitstatus = pytest.ExitCode.INTERRUPTED


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the handlers."""
    take_due()
    config.stash.get(_installed, ExitStack()).close()
