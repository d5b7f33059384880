# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201 - this is its output
"""`python -m testbeds.mutants > docs/controls.md`: what is broken, and what catches it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.plumbing.errors import HarnessError
from testbeds.mutants import MUTANTS, Catch, never_failed, suites
from testbeds.mutants.instrument import BROKEN, MISUSE
from testbeds.mutants.mechanical import python_judge
from testbeds.mutants.mechanical.campaign import all_sites, chosen, counted, summary
from testbeds.mutants.mechanical.equivalent import EQUIVALENT
from testbeds.mutants.mechanical.judge import judge
from testbeds.mutants.mechanical.memory import Memory, Outcome, tests_of_the_suites

_HEAD = """\
<!-- SPDX-License-Identifier: Apache-2.0 -->
<!-- Made by: python -m testbeds.mutants > docs/controls.md -->
# Negative controls: mutants, and what catches each

A mutant is a patch of the sources in `bpf/` (`testbeds/mutants/`). `pytest -m control` builds and
loads each, runs the tests named beside it, and passes only if each fails, on the assertion named.

| mutant | of | caught by | assertion | IPv |
|---|---|---|---|---|"""
_INSTRUMENT = """
## Faults of the instrument

What the suites look with can be broken, too: the program that calls a redirect helper
(`bpf/misuse.c`), or what a test takes for granted of the harness.

| fault | caught by | assertion | IPv |
|---|---|---|---|"""
_NEVER = """
## Assertions that no control has seen to fail

Most stand before or behind the one that a fault breaks first, or see to it that a test's own
traffic came about.

| test | assertions |
|---|---|"""


def _cells(catch: Catch) -> str:
    test = catch.test.rpartition("::")[2]
    values = ", ".join(str(value) for value in catch.arguments.values())
    families = ", ".join(str(family) for family in catch.families)
    where = f"`{test}`" + (f" ({values})" if values else "")
    return f"{where} | {catch.assertion} | {families}"


def _rows() -> Iterator[str]:
    yield _HEAD
    for mutant in MUTANTS:
        for index, catch in enumerate(mutant.catches):
            head = f"{mutant.name} | {mutant.datapath}" if index == 0 else " | "
            yield f"| {head} | {_cells(catch)} |"
    tests = {catch.test for mutant in MUTANTS for catch in mutant.catches}
    yield f"\n{len(MUTANTS)} mutants; {len(tests)} tests seen to fail."
    yield _INSTRUMENT
    for fault in MISUSE:
        for index, catch in enumerate(fault.catches):
            yield f"| {fault.name if index == 0 else ''} | {_cells(catch)} |"
    for name, catches in BROKEN.items():
        for index, catch in enumerate(catches):
            yield f"| {name if index == 0 else ''} | {_cells(catch)} |"
    yield _NEVER
    unseen = never_failed()
    for test, names in unseen.items():
        yield f"| `{test}` | {', '.join(names)} |"
    total, left = (sum(map(len, names.values())) for names in (suites(), unseen))
    yield f"\n{total} assertions; {total - left} seen to fail."


def page() -> str:
    """The page, in Markdown."""
    return "\n".join(_rows())


def _mechanical(arguments: argparse.Namespace) -> int:
    """Mutation testing; exit 1 if fewer than asked for are caught of the mutants that count."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hostroute"

    def say(outcome: Outcome) -> None:
        print(outcome, flush=True)

    try:
        python = arguments.python or arguments.of.endswith(".py")
        found = python_judge.all_sites(arguments.of) if python else all_sites(arguments.of)
        wanted = [site for site in chosen(found, arguments.sample, arguments.seed)
                  if site.key not in EQUIVALENT]  # fmt: skip
        name, tests = ("python", python_judge.tests()) if python else ("bpf", tests_of_the_suites())
        memory = Memory(cache / "mutants", name, tests)
        print(f"{len(wanted)} mutants, seed {arguments.seed}; kept in {memory.state}", flush=True)
        attempt = python_judge.judge if python else judge
        outcomes = attempt(wanted, memory, arguments.workers, say)
    except HarnessError as error:
        print(f"hostroute: {error}", file=sys.stderr)
        return error.exit_code
    print("", *summary(outcomes), sep="\n")
    caught, survivors = counted(outcomes)
    return int(100 * caught < arguments.least * (caught + len(survivors)))


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m testbeds.mutants", description=__doc__)
    parser.add_argument("--mechanical", action="store_true",
                        help="change bpf/ by rule, and run the suites on each change")  # fmt: skip
    parser.add_argument("--python", action="store_true",
                        help="change what installs and judges instead: harness/datapath,"
                             " harness/watch, the suites")  # fmt: skip
    parser.add_argument("--sample", type=int, metavar="K", help="only K of them")
    parser.add_argument("--seed", type=int, default=1, help="decides which (default: %(default)s)")
    parser.add_argument(
        "--of", default="", metavar="FILE", help="only in one part of bpf/, or in one module"
    )
    parser.add_argument("--least", type=float, default=97, metavar="PERCENT",
                        help="exit 1 if fewer are caught (default: %(default)s)")  # fmt: skip
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)),
                        help="how many at once (default: %(default)s)")  # fmt: skip
    arguments = parser.parse_args()
    if arguments.mechanical:
        return _mechanical(arguments)
    print(page())
    return 0


if __name__ == "__main__":
    sys.exit(_main())
