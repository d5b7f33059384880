# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the suites: probes, comparisons, each made once in a run, and the run's record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from harness.bench import MEASURES, Comparison, Run, compare
from harness.plugin.options import settings
from harness.topology import Family
from testbeds.faults import HelperCall, Metadata
from testbeds.measuring import arm

Compare = Callable[..., Comparison]
_LINES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def bench_run(
    request: pytest.FixtureRequest, machine: None, loaded_programs: None
) -> Iterator[Run]:
    """The run's comparisons; at its end they are written to results/."""
    run = Run()
    yield run
    if run.comparisons:
        path = run.write(request.config.rootpath / "results")
        request.config.stash[_LINES].append(f"seed {run.seed}, raw samples in {path}")


@pytest.fixture(scope="session")
def compared(request: pytest.FixtureRequest, bench_run: Run) -> Compare:
    """A function that compares two datapaths, once for all tests that ask for the same."""
    made: dict[tuple[str, str, Family, str, str], Comparison] = {}

    def comparison(
        measure: str, testbed: str, family: Family, first: str = "bpf", second: str = "legacy"
    ) -> Comparison:
        key = (measure, testbed, family, first, second)
        if key not in made:
            asked = settings(request.config)
            one, other = (arm(name, testbed, asked) for name in (first, second))
            made[key] = compare(MEASURES[measure], family, one, other, bench_run.seed)
            bench_run.comparisons.append(made[key])
            lines = request.config.stash[_LINES]
            names = [f"    {name}" for name in made[key].names()]
            lines += [str(made[key]), *(name for name in names if name not in lines)]
        return made[key]

    return comparison


@pytest.fixture
def say(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Callable[[str], None]:
    """A function that puts a line into the terminal's summary and the test's report."""

    def line(text: str) -> None:
        request.config.stash[_LINES].append(text)
        record_property("measured", text)

    return line


@pytest.fixture
def helper_call(machine: None, loaded_programs: None) -> Iterator[HelperCall]:
    """A redirect helper to be called as the test says."""
    with closing(HelperCall()) as call:
        yield call


@pytest.fixture
def metadata(machine: None, loaded_programs: None) -> Iterator[Metadata]:
    """Writes and reads a packet's metadata on both sides of the namespace border."""
    with closing(Metadata()) as border:
        yield border


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LINES] = []


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what was measured."""
    if config.stash[_LINES]:
        terminalreporter.section("host routing: measured")
        for line in config.stash[_LINES]:
            terminalreporter.write_line(line)
