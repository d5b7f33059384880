# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C, SIGTERM and SIGHUP end a run, and leave nothing to the garbage collector. Floor 8.

What was measured is kept. From the first test that needs a testbed on, an interrupt waits until
nothing is open that would not be closed: see `harness/signals.py`.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, nullcontext

import pytest

from harness.signals import as_interrupts, deferred, interrupt_if_due, take_due

_installed = pytest.StashKey[ExitStack]()
_session = pytest.StashKey[pytest.Session]()
_deferring = pytest.StashKey[bool]()
_ENDING = 60.0  # seconds
#: Every fixture that opens something asks for it.
_OURS = "machine"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Install the handlers."""
    config.stash[_installed] = stack = ExitStack()
    stack.enter_context(as_interrupts())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Defer interrupts from here on, where a test needs a testbed, or a record is to be kept."""
    needs = any(_OURS in getattr(item, "fixturenames", ()) for item in session.items)
    if needs or session.config.getoption("--record"):
        session.config.stash[_installed].enter_context(deferred())
        session.config.stash[_deferring] = True


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
    """What is left ends by itself, unless it hangs: fixtures, the record, the summary."""
    patient = deferred(_ENDING) if session.config.stash.get(_deferring, False) else nullcontext()
    with patient:
        return (yield)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember whose exit code it is."""
    session.config.stash[_session] = session


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the handlers; of an interrupt that came when all was done only the exit code tells."""
    if take_due() and _session in config.stash:
        config.stash[_session].exitstatus = pytest.ExitCode.INTERRUPTED
    config.stash.get(_installed, ExitStack()).close()
