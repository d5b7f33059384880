# SPDX-License-Identifier: Apache-2.0
"""`--hr-try-unclaimed`: tests that are not claimed run too, fail nothing, and tell what could be.

Their errors end inside the phase in which they were raised, which is a skip from then on: so no
debugger, no rerun and no `--maxfail` ever hears of them. What was found travels as properties of
the reports, as these may come from another process than the one that sums up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest

from harness.datapath.claims import CLAIMS
from harness.plugin import assertions
from harness.plugin.claims import Declined, not_claimed, stop
from harness.plugin.failures import ASSERTION
from harness.plugin.options import option
from harness.plugin.outcomes import FOUND, TRIED, Properties, in_one_line, trial
from harness.plumbing.errors import HarnessError
from harness.plumbing.printable import one_line
from harness.results.assertion import ERROR, FAILED, FAILURES, PASSED, SKIPPED

_Phase = Generator[None, object, object]
#: What ends a run ends it, whatever is tried.
_ENDS = (KeyboardInterrupt, pytest.exit.Exception)


class _Trial:
    """A run's trial; a plugin of its own, so that each run has one."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self._items: dict[str, Properties] = {}
        self._found: dict[str, Mapping[str, str]] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Remember what is known of each: a worker that is killed tells nothing of its test."""
        declined = not_claimed(self.config)
        self._items = {
            item.nodeid: list(item.user_properties)
            for item in session.items
            if item.nodeid in declined
        }

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> _Phase:
        """Of a tried test the setup may fail."""
        return (yield from self._tried(item, "setup"))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> _Phase:
        """So may the test itself."""
        return (yield from self._tried(item, "call"))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> _Phase:
        """And the teardown."""
        return (yield from self._tried(item, "teardown"))

    def _tried(self, item: pytest.Item, phase: str) -> _Phase:
        declined = not_claimed(self.config).get(item.nodeid)
        if declined is None:
            return (yield)
        try:
            result = yield
        except _ENDS:
            raise
        except BaseException as error:  # noqa: BLE001  # whatever pytest would report
            note(item, error, phase)
        else:
            if phase != "call":
                return result
            item.user_properties.append((TRIED, PASSED))
        if phase != "teardown":
            stop(f"{declined.message}; {trial(item.user_properties)}")
        return None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        """Take what was found. What still fails, as the test of a killed worker, fails nothing."""
        declined = not_claimed(self.config).get(report.nodeid)
        if declined is not None:
            if report.failed:
                self._acquit(report, declined)
            properties = {name: str(value) for name, value in report.user_properties}
            if TRIED in properties:
                self._found[report.nodeid] = properties
        return (yield)

    def _acquit(self, report: pytest.TestReport, declined: Declined) -> None:
        line = one_line(report.longreprtext.strip().partition("\n")[0])
        known = report.user_properties or self._items.get(report.nodeid, [])
        report.user_properties = [*known, (TRIED, ERROR), (FOUND, line)]
        reason = f"Skipped: {declined.message}; {trial(report.user_properties)}"
        report.outcome = "passed" if report.when == "teardown" else "skipped"
        report.longrepr = (report.location[0], report.location[1] or 0, reason)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what could be claimed."""
        terminalreporter.section("host routing: claims tried")
        if not self._items:
            terminalreporter.write_line("none: every test's datapath claims what the test rests on")
        for line in summary(not_claimed(self.config), self._found):
            terminalreporter.write_line(one_line(line))


def note(item: pytest.Item, error: BaseException, phase: str) -> None:
    """Put into a test's properties what was found, but for what its teardown adds to a failure."""
    if dict(item.user_properties).get(TRIED, PASSED) != PASSED:
        return
    if isinstance(error, pytest.skip.Exception):
        item.user_properties += [(TRIED, SKIPPED), (FOUND, one_line(str(error.msg)))]
        return
    assertion = assertions.failed(error)
    name = assertion.name if assertion is not None else ""
    text = pytest.ExceptionInfo.from_exception(error).exconly(tryshort=True)
    line = str(error) if isinstance(error, HarnessError) else one_line(in_one_line(text, name))
    item.user_properties += [(TRIED, FAILED if phase == "call" else ERROR), (FOUND, line)]
    if name:
        item.user_properties.append((ASSERTION, name))


@dataclass(frozen=True)
class _Tried:
    """The tests that rest on one claim which one datapath declines: what was found of each."""

    datapath: str
    claim: str
    found: Sequence[Mapping[str, str]]

    def __str__(self) -> str:
        words = Counter(each[TRIED] for each in self.found)
        failed = [each for each in self.found if each[TRIED] in FAILURES]
        skipped = next((each[FOUND] for each in self.found if each[TRIED] == SKIPPED), "")
        which = f"{self.datapath}: {self.claim}"
        if failed:
            names = Counter(each.get(ASSERTION) or each[FOUND] for each in failed)
            on = ", ".join(f"{name} ({count})" for name, count in names.most_common())
            return f"{which}: {len(failed)} of {len(self.found)} tests that rest on it fail: {on}"
        if not words[PASSED]:
            return f"{which}: not known, as every test that rests on it was skipped: {skipped}"
        aside = f", {words[SKIPPED]} skipped: {skipped}" if words[SKIPPED] else ""
        passed = f"every test of this run that rests on it passes ({words[PASSED]}{aside})"
        return f"{which}: could be claimed: {passed}"


def summary(tests: Mapping[str, Declined], found: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """For each datapath and claim, whether it could be claimed.

    Args:
        tests: Node id → what the test's datapath declines. A test may rest on several such claims,
            and is evidence on each.
        found: Node id → the properties of the test's report.
    """
    groups: dict[tuple[str, str], list[Mapping[str, str]]] = {}
    for node_id, properties in found.items():
        for claim in tests[node_id].claims:
            groups.setdefault((tests[node_id].datapath, claim), []).append(properties)
    order = {name: place for place, name in enumerate(CLAIMS)}
    datapaths = list(dict.fromkeys(datapath for datapath, _ in groups))

    def place(key: tuple[str, str]) -> tuple[int, int, str]:
        return datapaths.index(key[0]), order.get(key[1].partition(" = ")[0], -1), key[1]

    for key in sorted(groups, key=place):
        yield str(_Tried(*key, groups[key]))


def pytest_configure(config: pytest.Config) -> None:
    """Begin, where it is asked for."""
    if option(config, "try-unclaimed"):
        config.pluginmanager.register(_Trial(config))
