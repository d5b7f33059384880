# SPDX-License-Identifier: Apache-2.0
"""When Ctrl-C, SIGTERM and SIGHUP may end us: where nothing is open that nobody closes.

SIGTERM is what `timeout`, systemd and a CI runner send, SIGHUP what a closed terminal does; Python
would end on the spot. All three become KeyboardInterrupt. Python raises that between any two
bytecodes, thus also between `socket()` and the `with` that closes it, or at the first line of
`close()`: no `with` and no `finally` can shut those gaps. So while a run is `deferred`, an
interrupt waits until the code says that it may strike: in `interruptible`, around what waits, and
at `interrupt_if_due`. Whoever calls those has everything open in a `with`, a stack or an object
that is closed, as for any exception.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

_Handler = Callable[[int, FrameType | None], object] | int | None
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_ALL = (signal.SIGINT, *_SIGNALS)
#: How long an interrupt waits in `deferred` code that never says it may strike, as a user's test
#: that sleeps; then it strikes wherever it is. Seconds.
PATIENCE = 5.0


class _State(threading.local):
    """The main thread's is what counts: only there does Python run handlers.

    Attributes:
        deferring: How many `deferred` blocks are open.
        holding: How many `held` blocks are open.
        open: Whether an `interruptible` block is.
        due: The number of the signal that waits; 0: none does.
        since: When it came.
        patience: How long it waits, seconds.
    """

    deferring = 0
    holding = 0
    open = False
    due = 0
    since = 0.0
    patience = PATIENCE


_state = _State()


def _on_signal(number: int, _frame: FrameType | None) -> None:
    state = _state
    if not state.due:
        state.due, state.since = number, time.monotonic()
        if state.deferring:
            _set_alarm(state.patience)
    if _may_strike():
        _strike()


def _may_strike() -> bool:
    if _state.holding:
        return False
    overdue = time.monotonic() >= _state.since + _state.patience
    return _state.open or not _state.deferring or overdue


def _strike() -> None:
    number = _forget()
    _state.open = False  # what unwinds now is not to be struck a second time
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise KeyboardInterrupt(f"ended by {signal.Signals(number).name}")


def _forget() -> int:
    """The signal that was due, which no longer is."""
    number, _state.due = _state.due, 0
    if number:
        _set_alarm(0)
    return number


def _on_alarm(_number: int, _frame: FrameType | None) -> None:
    if _state.due and _may_strike():
        _strike()


def _set_alarm(seconds: float) -> None:
    """Have `_on_alarm` called; where somebody else uses SIGALRM, as a plugin for timeouts, not."""
    if signal.getsignal(signal.SIGALRM) in (signal.SIG_DFL, _on_alarm):
        signal.signal(signal.SIGALRM, _on_alarm)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        if not seconds:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)


def interrupt_if_due() -> None:
    """Raise KeyboardInterrupt if one waits: nothing is open here but what an exception closes."""
    if _state.due and not _state.holding:
        _strike()


def take_due() -> bool:
    """Whether an interrupt waits; it is then done with. For the end, where nothing is left."""
    return bool(_forget())


class _Interruptible:
    """See `interruptible`. No generator: between its `yield` and the block Python runs code."""

    def __enter__(self) -> None:
        _state.open = True  # first: what comes from here on strikes by itself
        interrupt_if_due()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _state.open = False


def interruptible() -> _Interruptible:
    """While the block runs, an interrupt strikes at once: for a single call that waits.

    The block opens and closes nothing.
    """
    return _Interruptible()


@contextmanager
def signals_unblocked() -> Iterator[None]:
    """While the block runs, no signal is blocked: for what starts a child, which inherits the mask.

    Whoever started us may have blocked them all. tcpdump would then be deaf to SIGUSR1 and SIGINT.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    if not before:
        yield
        return
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def deferred(patience: float = PATIENCE) -> Iterator[None]:
    """While the block runs, an interrupt waits until it may strike.

    Args:
        patience: Seconds that it waits at the most.
    """
    _state.deferring += 1
    before, _state.patience = _state.patience, patience
    try:
        yield
    finally:
        _state.patience = before
        _state.deferring -= 1
        if not _state.deferring:
            interrupt_if_due()


@contextmanager
def held() -> Iterator[None]:
    """While the block runs, Ctrl-C, SIGTERM and SIGHUP wait, however long it takes.

    For what takes a second at most: what was measured is being kept. The first that came is raised
    again when the block ends. (Not by a signal mask: another thread of a library would take the
    signal, and Python's handler runs in the main thread all the same.)
    """
    before: dict[signal.Signals, _Handler] = {}
    _state.holding += 1
    try:
        if threading.current_thread() is threading.main_thread():
            for each in _ALL:
                handler = signal.getsignal(each)
                if callable(handler) and handler is not _on_signal:
                    before[each] = signal.signal(each, _on_signal)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _state.holding -= 1
        if _state.due and _may_strike():
            if before:
                signal.raise_signal(_forget())  # to the handler that was there
            else:
                _strike()


@contextmanager
def as_interrupts() -> Iterator[None]:
    """While the block runs, each raises KeyboardInterrupt in the main thread, when it may.

    Where somebody else has a handler it stays; nohup(1) has SIGHUP ignored.
    """
    ours: dict[signal.Signals, _Handler] = {}
    usual = (signal.SIG_DFL, signal.default_int_handler)
    if threading.current_thread() is threading.main_thread():
        ours = {each: found for each in _ALL if (found := signal.getsignal(each)) in usual}
    for each in ours:
        signal.signal(each, _on_signal)
    try:
        yield
    finally:
        for each, handler in ours.items():
            signal.signal(each, handler)
        if ours:
            _forget()
