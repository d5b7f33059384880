# SPDX-License-Identifier: Apache-2.0
"""Runs of pytest that are interrupted at seeded points, with warnings as errors."""

from __future__ import annotations

import json
import random
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT, SIGTERM

from tests.support.run_cli import MARK, ROOT, start
from tests.support.striker import LIST, STRIKE, Point

_DEADLINE = 120.0  # seconds; a busy machine takes 5
_FLAGS = ("-W", "error")
#: Beyond the middle of a long function few calls come; the end of the call is then the point.
_STEPS = 120


@dataclass(frozen=True)
class Struck:
    """A run that was interrupted.

    Attributes:
        point: Where.
        code: Its exit code.
        text: All it printed.
        records: The records it wrote.
        left: Temporary files that are left of it.
    """

    point: Point
    code: int
    text: str
    records: list[Path]
    left: list[Path]


class Runs:
    """Runs of one selection of tests; `with` ends the process they are forks of."""

    def __init__(self, directory: Path, mark: str, *arguments: str) -> None:
        """Start the process.

        Args:
            directory: An empty one, for temporary files and records.
            mark: What every process bears in its environment.
            *arguments: pytest's.
        """
        self._directory, self._number = directory, 0
        self._arguments = (
            "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "tests.support.striker",
            # The process has imported the harness, whose assertions pytest would rewrite.
            "-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning",
            "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "--record", *arguments,
        )  # fmt: skip
        environment = {
            MARK: mark, "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "",
            # Rewritten assertions are kept for the runs that follow.
            "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(directory / "pycache"),
        }  # fmt: skip
        self._process = start(
            [sys.executable, *_FLAGS, "-m", "tests.support.run_server"], environment,
            stdin=subprocess.PIPE, stderr=None, start_new_session=True,
        )  # fmt: skip

    def __enter__(self) -> Runs:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def _run(self, **environment: str) -> tuple[int, str, Path]:
        self._number += 1
        own = self._directory / str(self._number)
        (own / "tmp").mkdir(parents=True)
        order = {
            "arguments": [*self._arguments, f"--results={own}"],
            "environment": {"TMPDIR": str(own / "tmp"), **environment},
            "output": str(own / "output"),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answering = select.poll()
        answering.register(self._process.stdout, select.POLLIN)
        if not answering.poll(_DEADLINE * 1000):
            self._process.kill()  # what is left of the run the test finds by its mark
            raise TimeoutError(f"no end within {_DEADLINE:g} s: {environment}")
        answer = self._process.stdout.readline()
        return int(answer), (own / "output").read_text(errors="replace"), own

    def calls(self) -> dict[str, int]:
        """Function → how often a run that goes on to its end calls it."""
        path = self._directory / "calls"
        self._run(**{LIST: str(path)})
        found: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def strike(self, point: Point) -> Struck:
        """Interrupt a run at a point."""
        code, text, own = self._run(**{STRIKE: point.to_json()})
        left = sorted((own / "tmp").iterdir())
        return Struck(point, code, text, sorted(own.glob("run-*.json")), left)


def points(calls: dict[str, int], count: int, seed: str) -> list[Point]:
    """As many points: functions in turn, so that none is left out for the loops of another."""
    chance = random.Random(seed)
    functions = sorted(calls)
    chance.shuffle(functions)
    functions *= count // max(1, len(functions)) + 1
    return [
        Point(
            function, chance.randint(1, calls[function]), chance.randint(1, _STEPS),
            chance.choice((SIGINT, SIGTERM)),
        )
        for function in functions[:count]
    ]  # fmt: skip
