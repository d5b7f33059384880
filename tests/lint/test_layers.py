# SPDX-License-Identifier: Apache-2.0
"""The contract on imports is kept, and a planted import upwards breaks it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.lint
ROOT = Path(__file__).parents[2]
CODE = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
PLANTED = {
    "a module": ("harness/plumbing/errors.py", "import harness.cli.command\n", "imports go down"),
    "a function": (
        "harness/traffic/fence.py",
        "def _planted() -> None:\n    from harness.watch import legs\n    del legs\n",
        "imports go downwards BROKEN",
    ),
    "a sibling": ("harness/bench/budget.py", "import harness.kernels.store\n", "imports go down"),
    "a suite": ("harness/cli/status.py", "import testbeds.faults\n", "knows no suite BROKEN"),
}


def lint(directory):
    return subprocess.run(
        [sys.executable, "-c", CODE, "--no-cache"], cwd=directory, check=False, timeout=120,
        capture_output=True, text=True, env={"PYTHONPATH": str(directory), "PATH": "/bin"},
    )  # fmt: skip


@pytest.fixture
def copy(tmp_path):
    for name in ("harness", "testbeds"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_imports_go_downwards(copy):
    ended = lint(copy)
    assert ended.returncode == 0, ended.stdout
    assert "2 kept, 0 broken" in ended.stdout


@pytest.mark.parametrize("where", PLANTED)
def test_a_planted_import_upwards_is_found(copy, where):
    file, code, said = PLANTED[where]
    with (copy / file).open("a") as module:
        module.write(f"\n\n{code}")
    ended = lint(copy)
    assert ended.returncode == 1, ended.stdout
    assert said in ended.stdout
    assert "BROKEN" in ended.stdout
