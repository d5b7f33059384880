# SPDX-License-Identifier: Apache-2.0
"""Every assertion of the suites by its name, read from their sources: no test is imported."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from harness.plugin.assertions import assertions_of

_TESTBEDS = Path(__file__).parents[1]
#: What measures asserts of measurements, and has its controls in tests/.
_MEASURING = ("_bench_", "_slow_", "_controls")


@cache
def suites() -> dict[str, list[str]]:
    """Test (`one_node/test_legs::test_hr07_…`, below testbeds/) → names of its assertions."""
    found: dict[str, list[str]] = {}
    for path in sorted(_TESTBEDS.glob("**/test_*.py")):
        if any(part in path.stem for part in _MEASURING):
            continue
        module = path.relative_to(_TESTBEDS).with_suffix("").as_posix()
        for assertion in assertions_of(path.read_text(encoding="utf-8")):
            found.setdefault(f"{module}::{assertion.function}", []).append(assertion.name)
    return found
