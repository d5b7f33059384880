# SPDX-License-Identifier: Apache-2.0
"""Comparisons and curves as fixtures: measured once a run, for all tests that ask.

Which measures a testbed's campaign takes is known from the tests that are selected: the first that
asks for a comparison makes those of all the others too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from harness.bench import MEASURES, Session, bypass_against_stack, limit
from harness.plugin.bench_demand import CurveRequest, Demand
from harness.plugin.bench_entries import quieten
from harness.plugin.bench_options import budget, chosen_arms, seed
from harness.plugin.bench_progress import Show
from harness.plugin.bench_table import summary
from harness.plugin.inconclusive import unless_given_up
from harness.plugin.options import asks_for_benchmarks, option, settings
from harness.plugin.record import at_the_end
from harness.plumbing.errors import HarnessError, UnknownNameError
from harness.results import Draft
from harness.results.comparison import LIMIT, Comparison
from harness.results.growth import Growth
from harness.topology import Family

DEMAND = pytest.StashKey[Demand]()
LINES = pytest.StashKey[list[str]]()


def comparison(request: pytest.FixtureRequest, family: Family) -> Comparison:
    """The comparison of a measure; the first test of a testbed waits for all of them."""
    testbed, key = request.param
    found = request.config.stash[DEMAND].comparison(testbed, key, family)
    unless_given_up(request.node, found)
    return found


def growth(request: pytest.FixtureRequest, family: Family) -> Growth:
    """The curve of a measure; the first test of an axis waits for all of them."""
    curve, key = request.param
    found = request.config.stash[DEMAND].growth(curve, key, family)
    unless_given_up(request.node, found)
    return found


def teller(
    config: pytest.Config, record_property: Callable[[str, object], None]
) -> Callable[[str], None]:
    """A function that puts a line into the terminal's summary and the test's report."""

    def line(text: str) -> None:
        config.stash[LINES].append(text)
        record_property("measured", text)

    return line


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Prepare the run's measuring, before pytest-benchmark reads its options."""
    config.stash[LINES] = []
    quieten(config)
    try:
        if asks_for_benchmarks(config):
            _check_options(config)  # before the seconds of collecting them
        config.stash[DEMAND] = Demand(
            Session(seed(config)), chosen_arms(config), settings(config), budget(config)
        )
    except HarnessError as error:
        pytest.exit(f"hostroute: {error}", returncode=error.exit_code)
    at_the_end(config, partial(_enter, config.stash[DEMAND].session))


def _enter(session: Session, draft: Callable[[], Draft]) -> None:
    """Give what was measured to the record."""
    if session:
        session.enter(draft())


def generate(metafunc: pytest.Metafunc) -> None:
    """Parametrize by the markers `compares` and `grows`, and `arm` over those with samples then."""
    compares = metafunc.definition.get_closest_marker("compares")
    if compares is not None and "hr_comparison" in metafunc.fixturenames:
        testbed, *named = compares.args
        keys = _known(named)
        if "arm" not in metafunc.fixturenames:
            asked = [(testbed, key) for key in keys]
            metafunc.parametrize("hr_comparison", asked, indirect=True, ids=keys)
        else:
            arms = metafunc.config.stash[DEMAND].arms_of(testbed) | {LIMIT: limit(testbed)}
            pairs = [(key, at) for key in keys for at in arms if MEASURES[key].applies(arms[at])]
            metafunc.parametrize(
                "hr_comparison, arm", [((testbed, key), label) for key, label in pairs],
                indirect=["hr_comparison"], ids=["-".join(pair) for pair in pairs],
            )  # fmt: skip
    grows = metafunc.definition.get_closest_marker("grows")
    if grows is not None and "hr_growth" in metafunc.fixturenames:
        testbed, over, *named = grows.args
        curve, keys = CurveRequest(testbed, over, **grows.kwargs), _known(named)
        metafunc.parametrize("hr_growth", [(curve, key) for key in keys], indirect=True, ids=keys)


def _known(keys: Sequence[str]) -> list[str]:
    """The measures named; if none is, all that can be loaded."""
    for key in keys:
        MEASURES.find(key)
    return list(keys or MEASURES.loadable())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Drop what asserts something of datapaths that are not compared with each other."""
    arms = list(chosen_arms(config))
    pairs = bypass_against_stack(arms, arms[0])
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        wanted = item.get_closest_marker("needs_both_paths") is None or pairs
        (kept if wanted else dropped).append(item)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note what the selected tests will ask for, and where progress is shown."""
    wanting = session.config.stash.get(DEMAND, None)
    if wanting is None:
        return  # the run was refused while it was set up
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        wanting.show = Show(session.config, reporter)
    asking = {"hr_comparison", "hr_growth"}
    measuring = [item for item in session.items if asking & _parameters(item)]
    try:
        _check_selection(session.config, measuring)
    except HarnessError as error:
        pytest.exit(f"hostroute: {error}", returncode=error.exit_code)
    for item in session.items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if "hr_comparison" in parameters:
            testbed, key = parameters["hr_comparison"]
            wanting.want(testbed, key, parameters["family"])
        if "hr_growth" in parameters:
            curve, key = parameters["hr_growth"]
            wanting.want_curve(curve, key, parameters["family"])


def _check_selection(config: pytest.Config, measuring: list[pytest.Item]) -> None:
    """Refuse what cannot be measured.

    Raises:
        UnknownNameError: Options of something else are given, or there is no measure.
        RegistryError: All measures are asked for, and one cannot be loaded.
    """
    if measuring:
        _check_options(config)
    if any(_asks_for_all(item) for item in measuring):
        for key in MEASURES.names():
            MEASURES.find(key)


def _check_options(config: pytest.Config) -> None:
    """Refuse options of conformance.

    Raises:
        UnknownNameError: One is given.
    """
    if option(config, "datapath"):
        raise UnknownNameError(
            "--hr-datapath is for conformance; benchmarks compare arms",
            f"use --hr-arms {option(config, 'arms')}, or select no benchmark",
        )
    if option(config, "pod-device"):
        raise UnknownNameError(
            "--hr-pod-device is for conformance; an arm's datapath decides what its pods hang on",
            "name an arm that is attached to it, such as --hr-arms legacy,bpf-netkit",
        )


def _asks_for_all(item: pytest.Item) -> bool:
    """Whether its marker names a testbed, or that and an axis, and no measure."""
    places = {"compares": 1, "grows": 2}
    return any(mark.name in places and len(mark.args) == places[mark.name]
               for mark in item.iter_markers())  # fmt: skip


def _parameters(item: pytest.Item) -> set[str]:
    """Names of the parameters that the test was generated with."""
    return set(getattr(getattr(item, "callspec", None), "params", {}))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what was measured."""
    session, lines = config.stash[DEMAND].session, config.stash[LINES]
    if not session and not lines:
        return
    terminalreporter.section("host routing: measured")
    # Where nobody looks on, a line may be as long as it likes.
    width = config.get_terminal_writer().fullwidth if terminalreporter.isatty else sys.maxsize
    tables = summary(session, width, terminalreporter.hasmarkup)
    for line in [*tables, *lines, f"seed {session.seed}"]:
        terminalreporter.write_line(line)
