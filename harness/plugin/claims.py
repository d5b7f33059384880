# SPDX-License-Identifier: Apache-2.0
"""Tests whose datapath declines what they rest on: `not claimed`, before anything is built.

Such a test is a skip for pytest, so that it fails nothing and JUnit knows what to make of it; its
reports carry the claim, by which everything of ours tells it from a skip.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

import pytest

from harness.datapath import BOTH, Claims, unclaimed
from harness.datapath.catalogue import CATALOGUE
from harness.datapath.claims import CLAIMS, ClaimError, declinable
from harness.plugin.options import option
from harness.plugin.outcomes import outcomes
from harness.plugin.parameters import catalogue_id
from harness.plumbing.printable import one_line
from harness.results.assertion import NOT_CLAIMED
from harness.results.unclaimed import by_claim
from harness.topology import Family
from pytest_hostroute import is_ours

_LETTER, _WORD = "n", NOT_CLAIMED.upper()


@dataclass(frozen=True)
class Declined:
    """What a test rests on and its datapath does not claim.

    Attributes:
        datapath: The datapath's name.
        claims: Each as `unclaimed` says it; the first is the reason.
    """

    datapath: str
    claims: tuple[str, ...]

    @property
    def message(self) -> str:
        """As in JUnit: `not claimed: time_exceeded = ipv4`."""
        return f"{NOT_CLAIMED}: {self.claims[0]}"


def rests_on(test: pytest.Item) -> Iterator[str]:
    """The claims that a test's markers name."""
    for mark in test.iter_markers("claims"):
        yield from mark.args


def check(names: Iterable[str], identity: str | None) -> None:
    """Refuse claims that a test may not rest on.

    Args:
        names: Of the claims.
        identity: The entry of the catalogue that the test asserts.

    Raises:
        ClaimError: There is no such claim, none may decline it, or the entry does not rest on it.
    """
    for name in names:
        ids = declinable(name).ids
        entry = CATALOGUE.get(identity or "")
        if entry is None or identity in ids:
            continue
        which = [
            claim.name for claim in CLAIMS.values() if claim.declinable and identity in claim.ids
        ]
        core = "; it is of the core, and every datapath that bypasses the stack must hold it"
        raise ClaimError(
            f"{identity} does not rest on claim {name!r}{core if entry.core else ''}",
            f"use one of {', '.join(which)}" if which else "leave the marker out",
        )


def generate(metafunc: pytest.Metafunc) -> None:
    """Refuse a test that rests on what it may not: an error of the collection."""
    test = metafunc.definition
    try:
        check(rests_on(test), catalogue_id(test.name))
    except ClaimError as error:
        raise pytest.Collector.CollectError(f"{test.name}: {error}") from None


def declined(test: pytest.Item) -> Declined | None:
    """What a test rests on and its datapath declines; None: nothing, or it has no such datapath."""
    parameters = test.callspec.params if hasattr(test, "callspec") else {}
    datapath, family = parameters.get("datapath"), parameters.get("family")
    claims = getattr(datapath, "claims", None)
    if not isinstance(claims, Claims):
        return None
    family = family if isinstance(family, Family) else None
    if family is not None and family not in getattr(datapath, "families", BOTH):
        return Declined(str(getattr(datapath, "name", "")), (f"families = {family.name}",))
    each = {
        unclaimed(claims, (name,), mark.kwargs.get("family", family)): None
        for mark in test.iter_markers("claims")
        for name in mark.args
    }
    found = tuple(filter(None, each))
    return Declined(str(getattr(datapath, "name", "")), found) if found else None


def stop(message: str) -> NoReturn:
    """End a phase of a test that is not claimed."""
    raise pytest.skip.Exception(message, _use_item_location=True)


class _NotClaimed:
    """A run's tests that are not claimed; a plugin of its own, so that each run has one.

    Attributes:
        tests: Node id → what its datapath declines.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.tests: dict[str, Declined] = {}

    # Late: somebody's conftest.py may add the marker; `brief`, which asks for them, is later still.
    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Find them; a parameter of a test may have brought a marker that its function lacks."""
        for item in filter(is_ours, items):
            try:
                check(rests_on(item), catalogue_id(item.name))
            except ClaimError as error:
                raise pytest.UsageError(f"{item.nodeid}: {error}") from None
            found = declined(item)
            if found is not None:
                self.tests[item.nodeid] = found
                item.user_properties.append((NOT_CLAIMED, found.claims[0]))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Before its fixtures are set up."""
        if not runs(item):
            stop(self.tests[item.nodeid].message)


_FOUND = pytest.StashKey[_NotClaimed]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin."""
    config.stash[_FOUND] = _NotClaimed(config)
    config.pluginmanager.register(config.stash[_FOUND])


def not_claimed(config: pytest.Config) -> Mapping[str, Declined]:
    """Node id → what the test's datapath declines, of this run."""
    return config.stash[_FOUND].tests


def runs(test: pytest.Item) -> bool:
    """Whether a test is tried: its datapath claims what it rests on, or all are to be tried."""
    return test.nodeid not in not_claimed(test.config) or option(test.config, "try-unclaimed")


def is_unclaimed(report: pytest.CollectReport | pytest.TestReport) -> bool:
    """Whether a report is of a test that is not claimed."""
    return report.skipped and NOT_CLAIMED in dict(getattr(report, "user_properties", ()))


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(
    report: pytest.CollectReport | pytest.TestReport,
) -> tuple[str, str, tuple[str, Mapping[str, bool]]] | None:
    """A letter, a word and a count of its own."""
    if is_unclaimed(report):
        return NOT_CLAIMED, _LETTER, (_WORD, {"cyan": True})
    return None


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """With -rs, each datapath and claim, and how many tests rest on it."""
    groups = by_claim(outcomes(config).tests.values()) if terminalreporter.hasopt("s") else []
    if groups:
        terminalreporter.section("host routing: not claimed")
    for group in groups:
        terminalreporter.write_line(one_line(f"{_WORD} [{len(group.tests)}] {group}"))
