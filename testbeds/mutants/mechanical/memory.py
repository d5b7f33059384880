# SPDX-License-Identifier: Apache-2.0
"""What became of each site: kept between runs, and for how long it holds.

An outcome holds as long as the site's file, the harness and the suites are as they were. When they
are not, it says where to begin: with the test that caught it; or, for a survivor, with the tests
that are new or changed since.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CAUGHT, SURVIVED, NO_PROGRAM, HUNG = "caught", "survived", "no program", "hung"
SAME, NOT_RUN = "same program", "not run"
_CONTROLS = "testbeds/test_controls.py"


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant.

    Attributes:
        site: The site's key.
        outcome: `caught`, `survived`, `no program` (it does not compile, or the verifier refuses
            it), `same program` (the compiler makes the same of it), `not run` (no test of it runs
            on this kernel), or `hung`, which counts as caught.
        by: The test that failed first.
        where: The site as it is shown: file, line, change.
        source: Digest of what was changed.
        suites: Digest of the tests by which it was judged.
        harness: Digest of what those stand on.
        seconds: What that took: CPU time of a mutant of bpf/, real time of others.
    """

    site: str
    outcome: str
    by: str = ""
    where: str = ""
    source: str = ""
    suites: str = ""
    harness: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.outcome}: {self.where or self.site}" + (f"  {self.by}" if self.by else "")


def digest(*texts: str | bytes) -> str:
    """Of some texts in their order."""
    found = hashlib.sha256()
    for text in texts:
        content = text.encode() if isinstance(text, str) else text
        found.update(len(content).to_bytes(8, "little") + content)
    return found.hexdigest()[:16]


@cache
def tests_of(path: Path) -> Mapping[str, str]:
    """Test function → digest of its text and of what its module has beside tests."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    tests = [each for each in tree.body
             if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")]  # fmt: skip
    rest = [ast.get_source_segment(text, each) or "" for each in tree.body if each not in tests]
    name = path.relative_to(ROOT).as_posix()
    if name == _CONTROLS:  # what they are run with
        mutants = sorted((ROOT / "testbeds" / "mutants").glob("*.py"))
        rest += [mutant.read_text(encoding="utf-8") for mutant in mutants]
    return {
        f"{name}::{test.name}": digest(ast.get_source_segment(text, test) or "", *rest, *(
            ast.get_source_segment(text, decorator) or "" for decorator in test.decorator_list
        ))
        for test in tests
    }  # fmt: skip


def tests_of_the_suites() -> list[Path]:
    """The modules of conformance tests."""
    return sorted((ROOT / "testbeds").glob("**/test_*.py"))


def function_of(test: str) -> str:
    """The function of a test's id, of which a message may follow."""
    return test.partition("[")[0].partition(" - ")[0]


class Memory:
    """Outcomes by the keys of their sites.

    Attributes:
        tests: Test function → its digest.
        suites: Digest of them.
        harness: Digest of what they stand on.
        state: The file that remembers: a line of JSON for each, the last one counts.
    """

    def __init__(self, directory: Path, name: str, tests: Iterable[Path]) -> None:
        """Read what is known.

        Args:
            directory: Where it is kept.
            name: Of what: a file's stem.
            tests: The suites by which sites are judged.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.state = directory / f"{name}.jsonl"
        self._directory = directory
        self.tests = {test: of for path in tests for test, of in tests_of(path).items()}
        self.suites = digest(json.dumps(self.tests, sort_keys=True))
        self.harness = digest(*_harness())
        self._known: dict[str, Outcome] = {}
        self._snapshots: dict[str, Mapping[str, str]] = {}
        if self.state.exists():
            for line in self.state.read_text(encoding="utf-8").splitlines():
                outcome = Outcome(**json.loads(line))
                self._known[outcome.site] = outcome
        snapshot = self._snapshot(self.suites)
        if not snapshot.exists():
            snapshot.write_text(json.dumps(self.tests), encoding="utf-8")

    def known(self, key: str) -> Outcome | None:
        """What was last found of a site, whether it still holds or not."""
        return self._known.get(key)

    def holds(self, key: str, source: str) -> bool:
        """Whether nothing that decides on a site has changed since."""
        found = self._known.get(key)
        if found is None or found.source != source:
            return False
        if found.outcome == SURVIVED:
            return not self.unseen(key, source)
        if found.outcome in (NO_PROGRAM, SAME, NOT_RUN):
            return True
        test = function_of(found.by)
        same = self._then(found).get(test) == self.tests.get(test)
        return same and found.harness == self.harness

    def unseen(self, key: str, source: str) -> set[str]:
        """Test functions that a site has not survived yet: all, if it itself has changed."""
        found = self._known.get(key)
        if found is None or found.outcome != SURVIVED or found.source != source:
            return set(self.tests)
        then = self._then(found)
        return {test for test, of in self.tests.items() if then.get(test) != of}

    def _then(self, found: Outcome) -> Mapping[str, str]:
        """The tests of the time when something was found."""
        if found.suites not in self._snapshots:
            path = self._snapshot(found.suites)
            content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            self._snapshots[found.suites] = content
        return self._snapshots[found.suites]

    def note(self, outcome: Outcome) -> None:
        """Remember, at once."""
        self._known[outcome.site] = outcome
        with self.state.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")

    def _snapshot(self, suites: str) -> Path:
        return self._directory / f"suites-{suites}.json"


def _harness() -> list[bytes]:
    """What tests stand on: the suites' common modules, and of the harness what they use."""
    rooms = ("plumbing", "bpf", "attach", "topology", "datapath", "testbed", "traffic", "watch")
    paths = [*(ROOT / "testbeds").glob("*.py"), *(ROOT / "testbeds").glob("*/legs.py"),
             *(path for room in rooms for path in (ROOT / "harness" / room).rglob("*.py")),
             *(ROOT / "bpf").glob("*.[ch]")]  # fmt: skip
    return [path.read_bytes() for path in sorted(paths)]
