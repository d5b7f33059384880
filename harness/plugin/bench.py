# SPDX-License-Identifier: Apache-2.0
"""Comparisons and curves as fixtures: measured once a run, for all tests that ask. Floor 8.

Which measures a testbed's campaign takes is known from the tests that are selected: the first that
asks for a comparison makes those of all the others too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import pytest

from harness.bench import LIMIT, MEASURES, Comparison, Growth, Run, limit
from harness.errors import HarnessError, UnknownNameError
from harness.plugin.bench_entries import quieten
from harness.plugin.bench_options import budget, chosen_arms, seed
from harness.plugin.bench_progress import Show
from harness.plugin.bench_session import BenchSession, Curve
from harness.plugin.bench_table import summary
from harness.plugin.options import settings
from harness.plugin.record import at_the_end
from harness.topology import Family
from testbeds import find

SESSION = pytest.StashKey[BenchSession]()
LINES = pytest.StashKey[list[str]]()
_MARKERS = (
    "compares(testbed, *measures): asks for the comparison of each measure; of all without any",
    "grows(testbed, over, *measures, every=False): asks for each measure's growth over pods or"
    " services; `every`: also at the points that take long to build",
    "needs_arms(*names): applies only where these are compared (--arms) and one is the baseline",
)


@pytest.fixture
def comparison(
    request: pytest.FixtureRequest, family: Family, machine: None, loaded_programs: None
) -> Comparison:
    """The comparison of a measure; the first test of a testbed waits for all of them."""
    testbed, key = request.param
    return request.config.stash[SESSION].comparison(testbed, key, family)


@pytest.fixture
def growth(
    request: pytest.FixtureRequest, family: Family, machine: None, loaded_programs: None
) -> Growth:
    """The curve of a measure; the first test of an axis waits for all of them."""
    curve, key = request.param
    return request.config.stash[SESSION].growth(curve, key, family)


@pytest.fixture
def say(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Callable[[str], None]:
    """A function that puts a line into the terminal's summary and the test's report."""

    def line(text: str) -> None:
        request.config.stash[LINES].append(text)
        record_property("measured", text)

    return line


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Prepare the run's measuring, before pytest-benchmark reads its options."""
    for line in _MARKERS:
        config.addinivalue_line("markers", line)
    config.stash[LINES] = []
    quieten(config)
    try:
        config.stash[SESSION] = BenchSession(
            Run(seed(config)), chosen_arms(config), settings(config), budget(config), find
        )
    except HarnessError as error:
        pytest.exit(f"hostroute: {error}", returncode=error.exit_code)
    run = config.stash[SESSION].run
    at_the_end(config, lambda: run.parts() if run else {})


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize by the markers `compares` and `grows`, and `arm` over those with samples then."""
    compares = metafunc.definition.get_closest_marker("compares")
    if compares is not None and "comparison" in metafunc.fixturenames:
        testbed, *named = compares.args
        keys = _known(named)
        if "arm" not in metafunc.fixturenames:
            asked = [(testbed, key) for key in keys]
            metafunc.parametrize("comparison", asked, indirect=True, ids=keys)
        else:
            arms = metafunc.config.stash[SESSION].arms_of(testbed) | {LIMIT: limit(testbed)}
            pairs = [(key, at) for key in keys for at in arms if MEASURES[key].applies(arms[at])]
            metafunc.parametrize(
                "comparison, arm", [((testbed, key), label) for key, label in pairs],
                indirect=["comparison"], ids=["-".join(pair) for pair in pairs],
            )  # fmt: skip
    grows = metafunc.definition.get_closest_marker("grows")
    if grows is not None and "growth" in metafunc.fixturenames:
        testbed, over, *named = grows.args
        curve, keys = Curve(testbed, over, **grows.kwargs), _known(named)
        metafunc.parametrize("growth", [(curve, key) for key in keys], indirect=True, ids=keys)


def _known(keys: Sequence[str]) -> list[str]:
    """The measures named; all if none is."""
    for key in keys:
        if key not in MEASURES:
            raise pytest.Collector.CollectError(f"measure {key} is unknown: {', '.join(MEASURES)}")
    return list(keys or MEASURES)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Drop what asserts something of datapaths that are not compared with each other."""
    arms = list(chosen_arms(config))
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        marker = item.get_closest_marker("needs_arms")
        wanted = set(marker.args) if marker is not None else set(arms)
        (kept if wanted <= set(arms) and arms[0] in wanted else dropped).append(item)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note what the selected tests will ask for."""
    wanting = session.config.stash[SESSION]
    measuring = [item for item in session.items if {"comparison", "growth"} & _parameters(item)]
    if measuring and session.config.getoption("--datapath"):
        error = UnknownNameError(
            "--datapath is for conformance; what measures compares arms",
            f"use --arms {session.config.getoption('--arms')}, or leave out what measures",
        )
        pytest.exit(f"hostroute: {error}", returncode=error.exit_code)
    for item in session.items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if "comparison" in parameters:
            testbed, key = parameters["comparison"]
            wanting.want(testbed, key, parameters["family"])
        if "growth" in parameters:
            curve, key = parameters["growth"]
            wanting.want_curve(curve, key, parameters["family"])


def _parameters(item: pytest.Item) -> set[str]:
    """Names of the parameters that the test was generated with."""
    return set(getattr(getattr(item, "callspec", None), "params", {}))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember the terminal."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        session.config.stash[SESSION].show = Show(session.config, reporter)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what was measured."""
    run, lines = config.stash[SESSION].run, config.stash[LINES]
    if not run and not lines:
        return
    terminalreporter.section("host routing: measured")
    # Where nobody looks on, a line may be as long as it likes.
    width = config.get_terminal_writer().fullwidth if terminalreporter.isatty else sys.maxsize
    tables = summary(run, width, terminalreporter.hasmarkup)
    for line in [*tables, *lines, f"seed {run.seed}"]:
        terminalreporter.write_line(line)
