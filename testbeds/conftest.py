# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the suites: probes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from testbeds.faults import HelperCall, Metadata


@pytest.fixture
def helper_call(hr_machine: None, hr_programs: None) -> Iterator[HelperCall]:
    """A redirect helper to be called as the test says."""
    with closing(HelperCall()) as call:
        yield call


@pytest.fixture
def metadata(hr_machine: None, hr_programs: None) -> Iterator[Metadata]:
    """Writes and reads a packet's metadata on both sides of the namespace border."""
    with closing(Metadata()) as border:
        yield border
