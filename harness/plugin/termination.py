# SPDX-License-Identifier: Apache-2.0
"""SIGTERM and SIGHUP end a run as Ctrl-C does: what was measured is kept. Floor 8.

The first is what `timeout`, systemd and a CI runner send, the second what a terminal that is closed
does; Python would end on the spot.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

import pytest

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_installed = pytest.StashKey[list[signal.Signals]]()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(f"ended by {signal.Signals(number).name}")


def pytest_configure(config: pytest.Config) -> None:
    """Install the handler, where nobody else has one; nohup(1) has SIGHUP ignored."""
    if threading.current_thread() is not threading.main_thread():
        return
    alone = [each for each in _SIGNALS if signal.getsignal(each) is signal.SIG_DFL]
    for each in alone:
        signal.signal(each, _interrupt)
    config.stash[_installed] = alone


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove it."""
    for each in config.stash.get(_installed, []):
        signal.signal(each, signal.SIG_DFL)
