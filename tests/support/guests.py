# SPDX-License-Identifier: Apache-2.0
"""What pytest in a guest leaves: a record of four tests, one of which failed."""

import json
from pathlib import Path

from harness.results import Assertion, TestOutcome
from tests.support import records

_LEGS = "testbeds/one_node/test_legs.py::"


def document():
    """The record: two tests of HR-07, one of HR-16, and one that asserts no entry."""
    legs, _, failed, *_ = records.conformance()
    ping = f"{_LEGS}test_hr07_ping[bpf-ipv{{}}]"
    tests = [
        legs | {"test": ping.format(4)},
        failed | {"test": ping.format(6), "outcome": "failed", "reason": "assert 1 == 2"},
        legs | {"id": "HR-16", "test": "testbeds/one_node/test_gateway.py::test_hr16_arp",
                "outcome": "skipped", "reason": "since 6.6"},
    ]  # fmt: skip
    others = [{"test": "testbeds/test_log.py::test_x", "outcome": "error", "reason": "boom"}]
    return records.record(measures=(), growth=[], conformance=tests, others=others)


def leave_record(share: Path, text: str = "") -> Path:
    """Write it where a guest does, or another text; its path."""
    path = share / "results" / "run-20261122T174500Z-6.18.44-000001.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text or json.dumps(document()))
    return path


def outcome(identity, word, reason="", test="t", reruns=0):
    """An outcome; without an identity that of a test that asserts no entry of the catalogue."""
    if not identity:
        return TestOutcome(test=test, outcome=word, reason=reason, reruns=reruns)
    return Assertion(test=test, outcome=word, reason=reason, reruns=reruns, id=identity,
                     testbed=None, datapath=None, family=None, degraded=[], legs=[],
                     observed={})  # fmt: skip
