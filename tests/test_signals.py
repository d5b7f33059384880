# SPDX-License-Identifier: Apache-2.0
"""Where interrupts strike, and where they wait."""

import os
import signal
import time
from contextlib import ExitStack

import pytest

from harness import signals
from harness.signals import as_interrupts, deferred, held, interrupt_if_due, interruptible, take_due

INTERRUPTS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def alone():
    """As in a process that is no pytest run of ours; and nothing strikes after the test."""
    before = {each: signal.getsignal(each) for each in INTERRUPTS}
    deferring, signals._state.deferring = signals._state.deferring, 0
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)
    yield
    take_due()
    signals._state.deferring = deferring
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.fixture
def run(alone):
    """Interrupts are deferred."""
    with ExitStack() as stack:
        stack.enter_context(as_interrupts())
        stack.enter_context(deferred())
        yield
        take_due()


@pytest.mark.parametrize("number", INTERRUPTS)
def test_it_strikes_at_once_where_nothing_defers_it(number):
    with as_interrupts(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


@pytest.mark.parametrize("number", INTERRUPTS)
def test_deferred_it_waits_until_it_may_strike(number, run):
    signal.raise_signal(number)
    with pytest.raises(KeyboardInterrupt) as caught:
        interrupt_if_due()
    said = "" if number == signal.SIGINT else f"ended by {number.name}"
    assert str(caught.value) == said
    interrupt_if_due()  # it strikes once


def test_it_strikes_before_a_wait_begins_and_in_its_middle(run):
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interruptible():
        pytest.fail("the wait began", pytrace=False)
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)  # the wait is over: this one waits again
    assert take_due()


def test_what_unwinds_after_it_struck_is_not_struck_by_the_next(run):
    closed = []

    def close():
        signal.raise_signal(signal.SIGINT)
        closed.append(True)

    def wait():
        with ExitStack() as stack:
            stack.callback(close)
            with interruptible():
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        wait()
    assert closed
    assert take_due()


def test_the_end_of_what_defers_it_is_a_place_to_strike():
    with as_interrupts(), pytest.raises(KeyboardInterrupt), deferred():
        signal.raise_signal(signal.SIGTERM)


def test_it_waits_for_the_end_of_what_is_held_even_in_a_wait(run):
    with held():
        signal.raise_signal(signal.SIGINT)
        with interruptible():
            interrupt_if_due()
    assert take_due()


def test_held_without_a_run_it_strikes_when_the_block_ends():
    done = []

    def keep():
        with held():
            signal.raise_signal(signal.SIGINT)
            done.append(True)

    with pytest.raises(KeyboardInterrupt):
        keep()
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_patience_has_an_end_where_nothing_ever_says_that_it_may_strike(run):
    def sleep():  # as a user's test may
        with deferred(0.05):
            signal.raise_signal(signal.SIGINT)
            signal.sigtimedwait([signal.SIGUSR2], 30)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        sleep()
    assert time.monotonic() - began < 10
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def test_an_alarm_of_somebody_else_stays(run):
    def theirs(*_):
        """Of a plugin for timeouts."""

    before = signal.signal(signal.SIGALRM, theirs)
    try:
        signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGALRM) is theirs
        assert take_due()
        assert signal.getsignal(signal.SIGALRM) is theirs
    finally:
        signal.signal(signal.SIGALRM, before)


def test_who_ignores_a_signal_goes_on_ignoring_it():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with as_interrupts(), held():
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
