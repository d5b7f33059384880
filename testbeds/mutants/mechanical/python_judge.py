# SPDX-License-Identifier: Apache-2.0
"""Judges mutants of the judging Python: what installs, what looks, and the assertions themselves.

Each is a pytest of its own, as a module that is imported already cannot be exchanged. An assertion
is caught when a right datapath fails it, or when a control no longer fails where it should; what
installs or looks, by its unit tests or by the conformance suites.
"""

from __future__ import annotations

import ast
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from harness.plumbing.errors import UnknownNameError
from testbeds.mutants.mechanical.memory import (
    CAUGHT,
    HUNG,
    NOT_RUN,
    ROOT,
    SURVIVED,
    Memory,
    Outcome,
    digest,
)
from testbeds.mutants.mechanical.python_sites import sites
from testbeds.mutants.mechanical.site import Site

_DEADLINE = 1200.0  # seconds for one mutant
_SCRIPT = Path(__file__).with_name("run_mutated.py")
_PASSED, _FAILED, _EMPTY = 0, 1, 5  # pytest's exit codes
_CONTROLS = "testbeds/test_controls.py"
#: Neither measures nor long runs: what they assert is a machine's, not a datapath's.
_NOT_JUDGED = re.compile(r"_(bench|slow)_")
_RUN = re.compile(r"\b\d+ (?:passed|failed|error)")


@dataclass(frozen=True)
class Plan:
    """What is run on a mutant.

    Attributes:
        paths: Pytest's arguments, in order.
        controls_of: Tests whose controls are run, too.
    """

    paths: tuple[str, ...]
    controls_of: tuple[str, ...] = ()


def files() -> list[str]:
    """The modules that judge."""
    found = [
        *(ROOT / "harness" / "datapath").glob("*.py"), *(ROOT / "harness" / "watch").rglob("*.py"),
        *(ROOT / "testbeds").glob("*/legs.py"), *(ROOT / "testbeds").glob("*/test_*.py"),
    ]  # fmt: skip
    names = sorted(path.relative_to(ROOT).as_posix() for path in found)
    return [name for name in names if not _NOT_JUDGED.search(name)]


def all_sites(of: str = "") -> list[Site]:
    """Every site of the judging Python, or of one module.

    Raises:
        UnknownNameError: There is no such module.
    """
    if of and of not in files():
        raise UnknownNameError(f"--of {of!r} judges nothing", f"use one of {', '.join(files())}")
    return [site for file in files() if of in ("", file) for site in sites(file, _read(file))]


def tests() -> list[Path]:
    """The modules of tests that may catch a mutant."""
    rooms = ("tests/unit/datapath", "tests/unit/watch", "tests/system", "testbeds")
    found = [path for room in rooms for path in (ROOT / room).rglob("test_*.py")]
    return sorted([*found, *(ROOT / "tests" / "unit").glob("test_*.py")])


def plan_of(site: Site) -> Plan:
    """What may catch a site: the likely first."""
    path = Path(site.file)
    if path.parts[0] == "testbeds":
        module = path.relative_to("testbeds").with_suffix("").as_posix()
        if path.name == "legs.py":
            own = sorted(ROOT.joinpath(path.parent).glob("test_*.py"))
            names = [each.relative_to(ROOT).as_posix() for each in own]
            using = [name for name in names
                     if ".legs import" in _read(name) and not _NOT_JUDGED.search(name)]  # fmt: skip
            controls = [test for name in using for test in _tests_in(name)]
            return Plan(("tests/unit/test_legs.py", *using, _CONTROLS), tuple(controls))
        test = _test_around(site)
        if test:
            return Plan((f"{site.file}::{test}", _CONTROLS), (f"{module}::{test}",))
        return Plan((site.file, _CONTROLS), tuple(_tests_in(site.file)))
    room = f"tests/unit/{path.parts[1]}"
    mirrors = [f"{room}/test_{path.stem}.py", f"{room}/test_{path.parent.name}.py", room]
    dotted = ".".join(path.with_suffix("").parts)
    system = [each.relative_to(ROOT).as_posix() for each in (ROOT / "tests/system").glob("*.py")]
    named = [name for name in sorted(system)
             if dotted in _read(name) and not _NOT_JUDGED.search(name)]  # fmt: skip
    there = [each for each in mirrors if (ROOT / each).exists()]
    return Plan((*there, "testbeds/one_node", "testbeds/two_node", *named))


def _read(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def _tests_in(file: str) -> list[str]:
    module = Path(file).relative_to("testbeds").with_suffix("").as_posix()
    return [f"{module}::{each.name}" for each in _functions(file)]


def _functions(file: str) -> list[ast.FunctionDef]:
    return [each for each in ast.parse(_read(file)).body
            if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")]  # fmt: skip


def _test_around(site: Site) -> str:
    for each in _functions(site.file):
        first = min([each.lineno, *(mark.lineno for mark in each.decorator_list)])
        if first <= site.line <= (each.end_lineno or each.lineno):
            return each.name
    return ""


def judge(
    wanted: Sequence[Site], memory: Memory, workers: int, say: Callable[[Outcome], None]
) -> list[Outcome]:
    """What becomes of each site, in their order."""
    sources = {site.file: digest(_read(site.file)) for site in wanted}
    found: dict[str, Outcome] = {}
    left = []
    for site in wanted:
        known = memory.known(site.key)
        if known is not None and memory.holds(site.key, sources[site.file]):
            found[site.key] = known
            say(known)
        else:
            left.append(site)
    random.Random(len(left)).shuffle(left)  # a run that is broken off is a sample
    with ThreadPoolExecutor(workers) as pool:
        running = [pool.submit(_attempt, site, memory, sources[site.file]) for site in left]
        try:
            for ended in as_completed(running):
                outcome = ended.result()
                memory.note(outcome)
                found[outcome.site] = outcome
                say(outcome)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return [found[site.key] for site in wanted]


def _attempt(site: Site, memory: Memory, source: str) -> Outcome:
    began = time.monotonic()
    result = (SURVIVED, "")
    for plan in _plans(site, memory):
        result = _run(site, plan)
        if result[0] in (CAUGHT, HUNG):
            break
    return Outcome(
        site.key, *result, where=str(site), source=source, suites=memory.suites,
        harness=memory.harness, seconds=round(time.monotonic() - began, 1),
    )  # fmt: skip


def _plans(site: Site, memory: Memory) -> Iterator[Plan]:
    """First, alone, what caught it the last time."""
    whole = plan_of(site)
    known = memory.known(site.key)
    by = known.by.partition(" - ")[0] if known else ""
    if by.partition("[")[0] in memory.tests:
        yield Plan((by,), whole.controls_of)
    yield whole


def _run(site: Site, plan: Plan) -> tuple[str, str]:
    """A child's pytest that ends with the first failure: what became of the site, and by what."""
    with tempfile.TemporaryDirectory(prefix="hostroute-mutant-") as directory:
        path = Path(directory, "plan.json")
        text = site.applied(_read(site.file))
        content = {"file": site.file, "text": text, "controls_of": plan.controls_of}
        path.write_text(json.dumps(content), encoding="utf-8")
        command = [
            "setpriv", "--pdeathsig", "TERM", sys.executable, "-P", str(_SCRIPT),
            str(path), "-x", "-q", "--tb=no", "-p", "no:cacheprovider",
            f"--hr-results={directory}", "--hr-datapath=legacy,bpf", *plan.paths,
        ]  # fmt: skip
        try:
            ended = subprocess.run(
                command, cwd=ROOT, env={**os.environ, "PYTEST_ADDOPTS": ""}, text=True,
                capture_output=True, timeout=_DEADLINE, check=False, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return HUNG, ""
    if ended.returncode == _EMPTY or (
        ended.returncode == _PASSED and not _RUN.search(ended.stdout)
    ):
        return NOT_RUN, ""
    if ended.returncode == _PASSED:
        return SURVIVED, ""
    failed = [line for line in ended.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    said = " ".join(ended.stderr.split())[-200:]
    return CAUGHT, failed[0].split(" ", 1)[1][:300] if failed else f"pytest itself: {said}"
