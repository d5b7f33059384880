# SPDX-License-Identifier: Apache-2.0
"""SIGTERM and SIGHUP end us as Ctrl-C does, so that what was built is taken down again.

The first is what `timeout`, systemd and a CI runner send, the second what a terminal that is closed
does; Python would end on the spot.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_ALL = (signal.SIGINT, *_SIGNALS)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt(f"ended by {signal.Signals(number).name}")


@contextmanager
def held() -> Iterator[None]:
    """While the block runs, Ctrl-C, SIGTERM and SIGHUP wait: what was measured is being kept.

    For what takes a second at most. The first that came is raised again when the block ends. (Not
    by a signal mask: another thread of a library would take the signal, and Python's handler runs
    in the main thread all the same.)
    """
    came: list[int] = []
    before = {}
    if threading.current_thread() is threading.main_thread():
        for each in _ALL:
            if callable(signal.getsignal(each)):
                before[each] = signal.signal(each, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


@contextmanager
def as_interrupts() -> Iterator[None]:
    """While the block runs, either raises KeyboardInterrupt in the main thread.

    Where somebody else has a handler it stays; nohup(1) has SIGHUP ignored.
    """
    alone: list[signal.Signals] = []
    if threading.current_thread() is threading.main_thread():
        alone = [each for each in _SIGNALS if signal.getsignal(each) is signal.SIG_DFL]
    for each in alone:
        signal.signal(each, _interrupt)
    try:
        yield
    finally:
        for each in alone:
            signal.signal(each, signal.SIG_DFL)
