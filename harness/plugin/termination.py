# SPDX-License-Identifier: Apache-2.0
"""SIGTERM ends a run as Ctrl-C does: testbeds are closed and what was measured is kept. Floor 8.

It is what `timeout`, systemd and a CI runner send; Python would end on the spot.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

import pytest

SAID = "ended by SIGTERM"
_installed = pytest.StashKey[bool]()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(SAID)


def pytest_configure(config: pytest.Config) -> None:
    """Install the handler, where nobody else has one."""
    alone = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if alone and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)
        config.stash[_installed] = True


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove it."""
    if config.stash.get(_installed, False):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
