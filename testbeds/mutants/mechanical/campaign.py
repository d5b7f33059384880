# SPDX-License-Identifier: Apache-2.0
"""Runs the suites on each mechanical mutant until one test fails, and says which survive.

Each mutant is a child's pytest, which first runs the tests that execute the changed line. What was
found is kept by the sources' digest, so that a run that was broken off goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.datapath.bpf import PARTS
from harness.plumbing.errors import HarnessError, UnknownNameError
from testbeds.mutants.mechanical import coverage
from testbeds.mutants.mechanical.equivalent import EQUIVALENT
from testbeds.mutants.mechanical.plugin import COVERAGE, INVALID, MUTANT
from testbeds.mutants.mechanical.sites import Site, sites

#: Datapaths whose programs are changed. One kind of attachment is enough: hooks are not in C.
DATAPATHS = ("bpf", "bpf-redirect", "bpf-skip-fib")
CAUGHT, SURVIVED, NO_PROGRAM, HUNG = "caught", "survived", "no program", "hung"
_ROOT = Path(__file__).resolve().parents[3]
_DEADLINE = 900.0  # seconds for one mutant; a survivor of every test takes a minute
_PLUGIN = "testbeds.mutants.mechanical.plugin"
_PASSED, _FAILED = 0, 1  # pytest's exit codes


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant.

    Attributes:
        site: Its site, as `Site.__str__` says it.
        outcome: `caught`, `survived`, `no program` (it does not compile, or the verifier refuses
            it), or `hung`, which counts as caught.
        by: The test that failed first.
    """

    site: str
    outcome: str
    by: str = ""


def all_sites(of: str = "") -> list[Site]:
    """Every site of the datapath's programs, or of one part.

    Raises:
        UnknownNameError: There is no such part.
    """
    if of and of not in PARTS:
        raise UnknownNameError(f"--of {of!r} is no part of bpf/", f"use one of {', '.join(PARTS)}")
    return [site for part in PARTS if of in ("", part) for site in sites(part, coverage.read(part))]


def chosen(found: Sequence[Site], sample: int | None, seed: int) -> list[Site]:
    """As many as asked for, drawn by the seed, in the order of the source."""
    if sample is None or sample >= len(found):
        return list(found)
    drawn = random.Random(seed).sample(range(len(found)), sample)
    return [found[number] for number in sorted(drawn)]


class Campaign:
    """Runs mutants, and remembers what became of them.

    Attributes:
        state: The file that remembers: a line of JSON for each.
    """

    def __init__(self, directory: Path) -> None:
        """Begin, or go on.

        Args:
            directory: Where the state of each version of the sources is kept.
        """
        directory.mkdir(parents=True, exist_ok=True)
        digest = _digest()
        self.state = directory / f"mutants-{digest}.jsonl"
        self._coverage = directory / f"coverage-{digest}.json"
        self._known: dict[str, Outcome] = {}
        if self.state.exists():
            for line in self.state.read_text(encoding="utf-8").splitlines():
                outcome = Outcome(**json.loads(line))
                self._known[outcome.site] = outcome

    def run(self, wanted: Sequence[Site], workers: int) -> Iterator[Outcome]:
        """Each outcome when it is known."""
        left = [site for site in wanted if str(site) not in self._known]
        yield from (self._known[str(site)] for site in wanted if str(site) in self._known)
        if not left:
            return
        covered = self._covered()
        with ThreadPoolExecutor(workers) as pool:
            for outcome in pool.map(lambda site: self._try(site, covered), left):
                with self.state.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(outcome)) + "\n")
                yield outcome

    def _covered(self) -> Mapping[str, set[int]]:
        """Test → keys of the places that it executes; asked of the suites once for each version."""
        if not self._coverage.exists():
            draft = self._coverage.with_suffix(".draft")
            arguments = [*_conformance(), f"--hr-datapath={','.join(DATAPATHS)}"]
            ended = _pytest(arguments, {COVERAGE: str(draft)}, 4 * _DEADLINE)
            if ended is None or ended.returncode != _PASSED:
                said = ended.stdout[-2000:] if ended is not None else "it did not end"
                raise HarnessError(f"the suites fail on instrumented programs: {said}")
            draft.rename(self._coverage)
        content = json.loads(self._coverage.read_text(encoding="utf-8"))
        return {test: set(keys) for test, keys in content.items()}

    def _try(self, site: Site, covered: Mapping[str, set[int]]) -> Outcome:
        patch = site.patch(coverage.read(site.file))
        environment = {MUTANT: json.dumps([asdict(patch)])}
        key = coverage.key_of(site)
        tests = [test for test, keys in covered.items() if key is None or key in keys]
        # Those that execute little say more of each line; one of each function comes first.
        tests.sort(key=lambda test: len(covered[test]))
        first = list({test.partition("[")[0]: test for test in reversed(tests)}.values())[::-1]
        for some in (first, [test for test in tests if test not in set(first)]):
            if not some:
                continue
            ended = _pytest([*some, "-m", "conformance"], environment, _DEADLINE)
            if ended is None:
                return Outcome(str(site), HUNG)
            if ended.returncode == INVALID:
                return Outcome(str(site), NO_PROGRAM)
            if ended.returncode != _PASSED:
                return Outcome(str(site), CAUGHT, _first_failure(ended.stdout))
        return Outcome(str(site), SURVIVED)


def _conformance() -> list[str]:
    return [str(_ROOT / "testbeds"), "-m", "conformance"]


def _pytest(
    arguments: Sequence[str], environment: Mapping[str, str], deadline: float
) -> subprocess.CompletedProcess[str] | None:
    """A child's pytest that ends with the first failure; None: it did not end in time."""
    with tempfile.TemporaryDirectory() as directory:
        command = [
            sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-p",
            _PLUGIN, f"--hr-results={directory}", *arguments,
        ]  # fmt: skip
        try:
            return subprocess.run(
                command, cwd=_ROOT, env={**os.environ, "PYTEST_ADDOPTS": "", **environment},
                text=True, capture_output=True, timeout=deadline, check=False,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return None


def _first_failure(text: str) -> str:
    failed = [line for line in text.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return failed[0].split(" ", 1)[1].split(" - ")[0] if failed else "pytest itself"


def _digest() -> str:
    """Of everything that decides what becomes of a mutant."""
    files = sorted([*(_ROOT / "bpf").glob("*"), *(_ROOT / "testbeds").rglob("*.py"),
                    *(_ROOT / "harness").rglob("*.py")])  # fmt: skip
    digest = hashlib.sha256()
    for path in files:
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def summary(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Who survives, and the share of what is caught of what counts."""
    survivors = [each for each in outcomes if each.outcome == SURVIVED]
    excused = [each for each in survivors if each.site in EQUIVALENT]
    caught = sum(each.outcome in (CAUGHT, HUNG) for each in outcomes)
    for each in survivors:
        why = EQUIVALENT.get(each.site)
        yield f"survived: {each.site}" + (f" ({why})" if why else "")
    counted = caught + len(survivors) - len(excused)
    share = f"{100 * caught / counted:.1f} %" if counted else "nothing"
    none = sum(each.outcome == NO_PROGRAM for each in outcomes)
    yield (
        f"{len(outcomes)} mutants: {caught} of {counted} that count are caught ({share});"
        f" {len(excused)} survivors are equivalent or for later, {none} are no program"
    )
