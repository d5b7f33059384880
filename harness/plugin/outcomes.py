# SPDX-License-Identifier: Apache-2.0
"""What became of every test of a run, as records and tables have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from harness.datapath import DATAPATHS
from harness.plugin.failures import ASSERTION, PCAPS, POD_DEVICE
from harness.plugin.parameters import catalogue_id
from harness.plugin.wrong_legs import WRONG_LEGS
from harness.results import Assertion, TestOutcome
from harness.results.assertion import ERROR, FAILED, NOT_CLAIMED, PASSED, RERUN
from harness.results.formulas import INCONCLUSIVE
from harness.results.part import family_name, pod_device
from harness.topology import TESTBEDS, Family

Properties = Sequence[tuple[str, Any]]
#: Of a test that was tried although it is not claimed: the outcome it had, and in one line why.
TRIED, FOUND = "tried", "found"
#: Of a test; a worker that was killed reports another, and knows but the node id.
_PHASES = ("setup", "call", "teardown")


class Outcomes:
    """A run's outcomes, which grow by its reports; a plugin of its own, so that each run has one.

    Attributes:
        tests: Node id → the outcome; the final one of a test that was run again.
    """

    def __init__(self) -> None:
        self.tests: dict[str, TestOutcome] = {}
        self._known: dict[str, Properties] = {}
        self._reruns: Counter[str] = Counter()

    @property
    def assertions(self) -> list[Assertion]:
        """Of the tests that assert an entry of the catalogue."""
        return [test for test in self.tests.values() if isinstance(test, Assertion)]

    @property
    def others(self) -> list[TestOutcome]:
        """Of the other tests, controls among them."""
        return [test for test in self.tests.values() if not isinstance(test, Assertion)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a phase's report: of a test that passed its call, of any other whatever came."""
        if report.user_properties:
            self._known[report.nodeid] = report.user_properties
        if report.outcome == RERUN:  # of pytest-rerunfailures
            self._reruns[report.nodeid] += 1
        known = self.tests.get(report.nodeid)
        if known is not None and known.outcome == FAILED:  # what its teardown did says less
            return
        if known is not None and known.outcome == NOT_CLAIMED and report.passed:
            self.tests[report.nodeid] = replace(known, reason=_unclaimed(report.user_properties))
            return
        if report.when == "call" or not report.passed:
            self.tests[report.nodeid] = self._outcome(report)

    def _outcome(self, report: pytest.TestReport) -> TestOutcome:
        properties = self._known.get(report.nodeid, ())
        if not properties and report.when not in _PHASES:
            properties = from_node_id(report.nodeid)
        return outcome(report, properties, self._reruns[report.nodeid])


def outcome(report: pytest.TestReport, properties: Properties, reruns: int) -> TestOutcome:
    """A report as records have it: an assertion if the test asserts an entry of the catalogue.

    Args:
        report: Of a phase: a call, or another that did not simply pass.
        properties: What is known of the test: `hr`, `control`, `datapath`, `not claimed`, …
        reruns: How many attempts came before it.
    """
    single = dict(properties)

    def every(name: str) -> list[Any]:
        return [value for key, value in properties if key == name]

    word: str = report.outcome
    word = ERROR if word == FAILED and report.when != "call" else word
    reason = "" if word == PASSED else _reason(report)
    if NOT_CLAIMED in single and report.skipped:
        word, reason = NOT_CLAIMED, _unclaimed(properties)
    if INCONCLUSIVE in single and report.skipped:
        word, reason = INCONCLUSIVE, in_one_line(str(single[INCONCLUSIVE]))
    if "hr" not in single or "control" in single:
        return TestOutcome(test=report.nodeid, outcome=word, reason=reason, reruns=reruns)
    parts = Path(report.nodeid.partition("::")[0]).parts
    return Assertion(
        test=report.nodeid, outcome=word, reason=reason, reruns=reruns, id=single["hr"],
        testbed=next((part for part in parts if part in TESTBEDS), None),
        datapath=single.get("datapath"), family=single.get("family"),
        degraded=[str(value) for value in every("degraded")],
        legs=[str(value) for value in every("legs")],
        observed=dict(every("observed")),
        claims=[str(value) for value in every("rests on")],
        pod_devices=list(filter(None, dict.fromkeys(map(pod_device, every(POD_DEVICE))))),
        wrong_legs=single.get(WRONG_LEGS), pcaps=every(PCAPS),
    )  # fmt: skip


def from_node_id(node_id: str) -> list[tuple[str, str]]:
    """What a test's node id alone says of it: entry of the catalogue, datapath, family."""
    test, _, parameters = node_id.partition("[")
    name = test.rpartition("::")[2]
    words = f"-{parameters.removesuffix(']')}-"
    found = [("hr", identity)] if (identity := catalogue_id(name)) else []
    named = [name for name in sorted(DATAPATHS, key=len, reverse=True) if f"-{name}-" in words]
    found += [("datapath", named[0])] if named else []
    families = [family_name(family) for family in Family]
    return found + [("family", name) for name in families if f"-{name}-" in words][:1]


def _reason(report: pytest.TestReport) -> str:
    """Why it was skipped, or what failed, in one line."""
    longrepr = report.longrepr
    if isinstance(longrepr, tuple):  # file, line, reason of a skip
        text = longrepr[2].removeprefix("Skipped: ")
    else:
        crash = getattr(longrepr, "reprcrash", None)
        text = crash.message if crash is not None else str(longrepr or "")
    return in_one_line(text, str(dict(report.user_properties).get(ASSERTION, "")))


def in_one_line(text: str, assertion: str = "") -> str:
    """What an error says; of an assertion whose name is known the name first."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if assertion and len(lines) > 1 and lines[0] == f"AssertionError: {assertion}":
        return f"{assertion}: {lines[1]}"  # the name alone says what failed, and not how
    return lines[0] if lines else ""


def trial(properties: Properties) -> str:
    """What trying a test found, as in `tried: failed: lost: assert 1 == 0`; empty: nothing did."""
    single = dict(properties)
    words = ("tried", single[TRIED], single.get(FOUND, "")) if TRIED in single else ()
    return ": ".join(filter(None, words))


def _unclaimed(properties: Properties) -> str:
    """The claim that a test's datapath declines, and what trying the test found."""
    return "; ".join(filter(None, (dict(properties)[NOT_CLAIMED], trial(properties))))


_OUTCOMES = pytest.StashKey[Outcomes]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Begin, before whatever shows or records them."""
    config.stash[_OUTCOMES] = Outcomes()
    config.pluginmanager.register(config.stash[_OUTCOMES])


def outcomes(config: pytest.Config) -> Outcomes:
    """Those of this run, so far."""
    return config.stash[_OUTCOMES]
