# SPDX-License-Identifier: Apache-2.0
"""From durations to samples: what no clock can have measured is refused."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from harness.plumbing.errors import TrafficError


def checked(samples: list[int], who: str) -> list[int]:
    """Durations that can be samples.

    Raises:
        TrafficError: There is none, or one is not positive: a clock that stood still or went back.
    """
    if not samples:
        raise TrafficError(f"{who}: no sample")
    if min(samples) <= 0:
        raise TrafficError(
            f"{who}: a duration of {min(samples)} ns", "the machine's clock cannot be trusted"
        )
    return samples


@contextmanager
def collector_off() -> Iterator[None]:
    """Keep Python's garbage collector out of what is timed."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
