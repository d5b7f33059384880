# SPDX-License-Identifier: Apache-2.0
"""SIGTERM and SIGHUP end a run as Ctrl-C does: what was measured is kept."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from harness.plumbing.signals import as_interrupts

_installed = pytest.StashKey[ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    """Install the handlers."""
    config.stash[_installed] = stack = ExitStack()
    stack.enter_context(as_interrupts())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove them."""
    config.stash.get(_installed, ExitStack()).close()
