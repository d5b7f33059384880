# SPDX-License-Identifier: Apache-2.0
"""Judges mutants of bpf/ by the conformance suites: pytest collects once, and forks for each.

A plugin of a pytest that this process runs: where pytest would run its tests, it runs some of them,
in forks, on changed programs. First those that are likely to fail: what caught the mutant the last
time, what caught its neighbours, then those that execute few other lines.
"""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.datapath.bpf import PARTS
from harness.plumbing.errors import HarnessError
from testbeds.mutants.mechanical import coverage, forks, programs, trial
from testbeds.mutants.mechanical.memory import (
    CAUGHT,
    HUNG,
    ROOT,
    Memory,
    Outcome,
    digest,
    function_of,
)
from testbeds.mutants.mechanical.site import Site
from testbeds.mutants.mechanical.trial import DATAPATHS

_DEADLINE = 900.0  # seconds for one mutant; a survivor of every test takes a minute
_CHUNK = 60  # tests that one fork asks which places they execute
_NEIGHBOURS = 4  # tests that caught mutants of the same file last


class Judge:
    """The plugin.

    Attributes:
        outcomes: What was found, in the order of the sites.
        error: Why nothing could be.
    """

    def __init__(
        self, wanted: Sequence[Site], memory: Memory, workers: int, say: Callable[[Outcome], None]
    ) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.error: HarnessError | None = None
        self._wanted, self._memory, self._workers, self._say = wanted, memory, workers, say
        self._reports = trial.Reports()
        self._items: dict[str, pytest.Item] = {}
        self._covered: Mapping[str, Mapping[str, Any]] = {}
        self._latest: dict[str, deque[str]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of the tests."""
        session.config.pluginmanager.register(self._reports, "reports of mutants")
        self._items = {item.nodeid: item for item in session.items}
        try:
            self._judge()
        except HarnessError as error:
            self.error = error
        return True

    def _judge(self) -> None:
        sources = {site.file: digest(coverage.read(site.file)) for site in self._wanted}
        left = []
        for site in self._wanted:
            known = self._memory.known(site.key)
            if known is not None and self._memory.holds(site.key, sources[site.file]):
                self._found(known)
            else:
                left.append(site)
        if not left:
            return
        random.Random(len(left)).shuffle(left)  # a run that is broken off is a sample
        exact = self._exact()
        self._covered = self._coverage()

        def jobs() -> Iterator[forks.Job]:
            for site in left:
                plan = self._plan(site, sources[site.file])
                yield (
                    site,
                    lambda site=site, plan=plan: trial.attempt(  # type: ignore[misc]
                        site, plan, exact, self._reports
                    ),
                )

        with closing(forks.run(jobs(), self._workers, _DEADLINE)) as answers:
            self._note(answers, sources)

    def _note(
        self, answers: Iterable[tuple[Site, dict[str, Any] | None]], sources: Mapping[str, str]
    ) -> None:
        for site, answer in answers:
            found = Outcome(
                site.key, **(answer or {"outcome": HUNG}), where=str(site),
                source=sources[site.file], suites=self._memory.suites,
                harness=self._memory.harness,
            )  # fmt: skip
            self._memory.note(found)
            self._found(found)
            if found.outcome == CAUGHT:
                latest = self._latest.setdefault(site.file, deque(maxlen=_NEIGHBOURS))
                latest.appendleft(found.by.partition(" - ")[0])

    def _found(self, outcome: Outcome) -> None:
        self.outcomes[outcome.site] = outcome
        self._say(outcome)

    def _exact(self) -> dict[str, str]:
        """The programs as they are: compiled in a fork, as the compiler lets none inherit it."""
        jobs = ((name, lambda name=name: programs.digest(name)) for name in DATAPATHS)
        found = dict(forks.run(iter(jobs), self._workers, _DEADLINE))
        if None in found.values():
            raise HarnessError("the programs of bpf/ do not load", "run pytest -m conformance")
        return found

    def _plan(self, site: Site, source: str) -> dict[str, list[pytest.Item]]:
        """Datapath → tests in the order in which they are to run."""
        key = coverage.key_of(site)
        unseen = self._memory.unseen(site.key, source)
        known = self._memory.known(site.key)
        first = [known.by.partition(" - ")[0]] if known else []
        first += self._latest.get(site.file, ())
        tests = [test for test, of in self._covered.items()
                 if test in self._items and function_of(test) in unseen
                 and (key is None or key in of["keys"])]  # fmt: skip
        ordered = _ordered(tests, self._covered, first)
        plan: dict[str, list[pytest.Item]] = {name: [] for name in DATAPATHS}
        twins = set()
        for test in ordered:
            name, twin = _of(self._items[test])
            if name == DATAPATHS[0]:
                twins.add(twin)
        for test in ordered:
            name, twin = _of(self._items[test])
            # What one datapath's programs pass, another's of the same lines pass, too.
            if name == DATAPATHS[0] or twin not in twins:
                plan[name].append(self._items[test])
        return plan

    def _coverage(self) -> Mapping[str, Mapping[str, Any]]:
        """Test → `keys` of the places that it executes, `seconds`; only new tests are asked."""
        of = digest(*(coverage.read(part) for part in PARTS))
        path = self._memory.state.parent / f"coverage-{of}.json"
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        known = {test: found for test, found in kept.items()
                 if found["test"] == self._memory.tests.get(function_of(test))}  # fmt: skip
        new = [item for test, item in self._items.items() if test not in known]
        new.sort(key=lambda item: _of(item)[0])  # each of them is compiled once
        chunks = [new[at : at + _CHUNK] for at in range(0, len(new), _CHUNK)]
        jobs = ((at, lambda some=some: trial.covered(some, self._reports))
                for at, some in enumerate(chunks))  # fmt: skip
        for _, answer in forks.run(jobs, self._workers, 4 * _DEADLINE):
            if answer is None or answer["failed"]:
                why = answer["failed"][0] if answer else "they do not end"
                raise HarnessError(f"the suites fail on programs that count lines: {why}")
            for test, found in answer["tests"].items():
                known[test] = found | {"test": self._memory.tests.get(function_of(test))}
            _write(path, known)
        return known


def _of(item: pytest.Item) -> tuple[str, tuple[object, ...]]:
    """A test's datapath, and what else it is called with."""
    parameters = dict(item.callspec.params) if hasattr(item, "callspec") else {}
    datapath = parameters.pop("datapath", None)
    name = datapath.name if datapath is not None else DATAPATHS[0]
    return name, (function_of(item.nodeid), *sorted(map(str, parameters.items())))


def _ordered(
    tests: Sequence[str], covered: Mapping[str, Mapping[str, Any]], first: Sequence[str]
) -> list[str]:
    """Those named first, then one of each function, then the rest; quick ones of few lines lead."""
    ranked = sorted(tests, key=lambda test: len(covered[test]["keys"]) * covered[test]["seconds"])
    of_each = list({function_of(test): test for test in reversed(ranked)}.values())[::-1]
    chosen = [test for test in dict.fromkeys(first) if test in set(tests)]
    return list(dict.fromkeys([*chosen, *of_each, *ranked]))


def _write(path: Path, content: object) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(content), encoding="utf-8")
    draft.rename(path)


def judge(
    wanted: Sequence[Site], memory: Memory, workers: int, say: Callable[[Outcome], None]
) -> list[Outcome]:
    """What becomes of each site, in their order.

    Raises:
        HarnessError: The suites cannot be run at all.
    """
    plugin = Judge(wanted, memory, workers, say)
    command = [
        str(ROOT / "testbeds"), "-m", "conformance", "-qq", "--capture=no", "--tb=no", "-p",
        "no:cacheprovider", f"--rootdir={ROOT}", f"--hr-datapath={','.join(DATAPATHS)}",
    ]  # fmt: skip
    status = pytest.main(command, plugins=[plugin])
    if plugin.error is not None:
        raise plugin.error
    missing = [site for site in wanted if site.key not in plugin.outcomes]
    if missing:
        raise HarnessError(f"pytest ended with {status} before {len(missing)} mutants were judged")
    return [plugin.outcomes[site.key] for site in wanted]
