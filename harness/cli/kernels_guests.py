# SPDX-License-Identifier: Apache-2.0
"""What of `hostroute kernels` boots guests: run, features, shell."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.cli.output import say, show, show_json
from harness.datapath import features
from harness.datapath.brought import bring_all, files_of
from harness.datapath.catalogue import CATALOGUE
from harness.datapath.features import FEATURES, Feature
from harness.datapath.probes import Probe
from harness.kernels import (
    Campaign,
    Fetcher,
    Images,
    Job,
    Machine,
    Mirror,
    Result,
    Store,
    at_once,
    catalogue,
    check_tools,
    harness_root,
    new_directory,
    pytest_args,
    records,
)
from harness.kernels.result import OUTPUT
from harness.kernels.supervisor import LIMITS
from harness.kernels.tools import cache_root
from harness.plumbing import safe_read, scratch
from harness.plumbing.errors import GuestError
from harness.plumbing.printable import aligned
from harness.testbed.prerequisites import check_privileges
from harness.topology import TESTBEDS

KERNEL = "a version (6.12), a path (IMAGE or IMAGE:DIR), installed:RELEASE, or vng:TAG"
CLI = (sys.executable, "-m", "harness.cli")


def store() -> Store:
    """The user's cache of kernels."""
    return Store(cache_root() / "kernels")


def mirror() -> Mirror:
    """The machine's mirror, with the lists of it that are kept."""
    return Mirror(cache_root() / "apt")


def fetcher() -> Fetcher:
    """What gets kernels from the machine's mirror into the cache."""
    return Fetcher(store(), mirror(), say)


def images() -> Images:
    """The user's cache of images."""
    return Images(cache_root() / "images")


def default() -> list[str]:
    """The kernels that are meant when none is named."""
    return list(catalogue().default)


def run(arguments: argparse.Namespace) -> int:
    """Run pytest on every kernel; print assertions as rows and kernels as columns."""
    words = arguments.passed or ["-m", "conformance"]
    check_tools()
    jobs = at_once(arguments.jobs, arguments.memory)
    if jobs < arguments.jobs:
        say(f"{jobs} at once, not {arguments.jobs}: for want of cores or memory")
    brought = bring_all(arguments.bring)
    words = [*(f"--hr-bring={path.resolve()}" for path in arguments.bring), *words]
    pytest_args.check(words, Path.cwd(), images().bytecode)

    results = Path.cwd() / "results"  # whatever pytest's root directory is, and its ini file says

    def job(share: Path) -> Job:
        own = [f"--junitxml={share / 'junit.xml'}", f"--hr-results={results}"]
        argv = [*pytest_args.command(words), *own]
        return Job(argv, Path.cwd(), results=results, files=files_of(brought))

    campaign = find_all(arguments)
    machine = Machine(campaign.accelerator(), arguments.memory)
    limits = LIMITS[machine.accelerator.name]
    if arguments.limit:
        limits = replace(limits, whole=arguments.limit)
    try:
        campaign.run(job, machine, jobs, limits)
    finally:  # after Ctrl-C there is something to show as well
        _print_matrix(campaign.results)
    return exit_code(campaign.results)


def find_all(arguments: argparse.Namespace) -> Campaign:
    """A campaign over the kernels that are named, or the default set."""
    campaign = Campaign(fetcher(), images(), new_directory(Path(arguments.results)), say)
    try:
        campaign.resolve(arguments.kernels or default(), arguments.refresh)
    finally:
        if all(result.error is not None for result in campaign.results):
            with suppress(OSError):  # `kernels` may hold those of other runs
                campaign.directory.rmdir()
                campaign.directory.parent.rmdir()
    return campaign


def _print_matrix(results: list[Result]) -> None:
    """Assertions by kernel, then what needs a word."""
    shown = {result.name: result.found.tests for result in results if result.kernel is not None}
    titles = {identity: entry.title for identity, entry in CATALOGUE.items()}
    if any(shown.values()):
        show(*records.matrix(shown, titles))
    print_remarks(results)


def print_remarks(results: list[Result], put: Callable[[str], None] = show) -> None:
    """What needs a word, and where the results are."""
    for result in results:
        for line in _remarks(result):
            put(f"{result.name}: {line}")
    for result in results:
        if result.directory is not None:
            put(f"{result.name}: results in {result.directory}")


def _remarks(result: Result) -> list[str]:
    """Failed tests, skips by their reasons, and what was wrong with the guest."""
    lines = [*records.remarks(result.found.tests), *result.found.unread]
    if result.trouble:
        shown = result.ended.lines if result.ended is not None else ()
        lines += [result.trouble, *(f"    {line}" for line in shown)]
    return lines


def exit_code(results: list[Result]) -> int:
    """The first kernel without a whole result decides; else whether a test failed on any."""
    first = next((result.exit_code for result in results if result.trouble), 0)
    return first or max((result.exit_code for result in results), default=0)


def probe(arguments: argparse.Namespace) -> int:
    """Print the table of features, as the running kernel has them or each of those named."""
    if not arguments.kernels:
        check_privileges()
        answers = {name: features.probe(name) for name in FEATURES}
        if arguments.json:
            show_json({name: vars(answer) for name, answer in answers.items()})
        else:
            _print_features({platform.release(): answers}, how=True)
        return 0
    check_tools()
    jobs = at_once(arguments.jobs, arguments.memory)
    campaign = find_all(arguments)
    argv = [*CLI, "kernels", "features", "--json"]
    machine = Machine(campaign.accelerator(), arguments.memory)
    campaign.run(lambda _: Job(argv, harness_root()), machine, jobs)
    columns = {result.name: _answers(result) for result in campaign.results}
    for result in campaign.results:
        if not (result.trouble or columns[result.name]):
            result.error = GuestError("the guest did not tell its features", "see its output.txt")
    if arguments.json:
        show_json(
            {
                kernel: {name: vars(answer) for name, answer in answers.items()}
                for kernel, answers in columns.items()
            }
        )
    else:
        _print_features(columns)
    print_remarks(campaign.results, say if arguments.json else show)
    return exit_code(campaign.results)


def _answers(result: Result) -> dict[str, Probe]:
    """What a guest's probes found; nothing where it did not get to it."""
    if result.directory is None:
        return {}
    try:
        said = safe_read.text(result.directory / "output.txt", OUTPUT, tail=True)
        # Others have something to say too, on stderr, which is there as well.
        told = next((line for line in said.splitlines() if line.startswith("{")), "")
        table: dict[str, Any] = json.loads(told)
        found = {name: Probe(**table[name]) for name in FEATURES if name in table}
    except (OSError, ValueError, TypeError, RecursionError):
        return {}
    types = {(type(each.supported), type(each.detail)) for each in found.values()}
    return found if types <= {(bool, str)} else {}


def _print_features(columns: dict[str, dict[str, Probe]], how: bool = False) -> None:
    """A kernel that is new enough and lacks a feature is not the same as one too old for it."""
    rows = [["feature", "kind", "since", *columns, *(["how it is probed"] if how else [])]]
    for feature in FEATURES.values():
        cells = []
        for name, answers in columns.items():
            answer = answers.get(feature.name)
            cells.append("?" if answer is None else _cell(feature, answer, name))
        last = [feature.how] if how else []
        rows.append([feature.name, feature.kind, feature.since, *cells, *last])
    show(*aligned(rows))


def _cell(feature: Feature, answer: Probe, kernel: str) -> str:
    if answer.supported:
        return "yes"
    return "-" if feature.excused(features.release(kernel)) else "MISSING"


def shell(arguments: argparse.Namespace) -> int:
    """A shell in a host of a testbed, in a guest."""
    TESTBEDS.find(arguments.testbed)
    check_tools()
    at_once(1, arguments.memory)
    if not sys.stdin.isatty():
        say("no terminal: the guest's shell reads commands, and ends with `exit`")
    directory = scratch.make("shell")
    campaign = Campaign(fetcher(), images(), directory, say)
    campaign.resolve([arguments.kernel], arguments.refresh)
    error = campaign.results[0].error
    if error is not None:
        raise error
    argv = [*CLI, "shell", arguments.testbed, arguments.host]
    job = Job(argv, harness_root(), interactive=True)
    ended = campaign.interact(job, Machine(campaign.accelerator(), arguments.memory))
    if ended.trouble:
        raise GuestError(f"the guest {ended.trouble}", "look at what it printed")
    return ended.status or 0
