# SPDX-License-Identifier: Apache-2.0
"""`hostroute kernels` on the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness.cli import kernels_exact as exact
from harness.cli import kernels_guests as cli
from harness.cli import main
from harness.kernels.accelerator import emulation
from harness.kernels.result import Result
from harness.kernels.supervisor import Ended
from harness.plumbing.errors import (
    UnknownNameError,
)


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """A cache of the test's own, without any kernel."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "hostroute"


def test_list_of_an_empty_cache(cache, capsys):
    assert main(["kernels", "list"]) == 0
    assert capsys.readouterr().out.startswith("default set: 5.10 6.1 6.12 6.18 7\n")


def test_prune_removes_everything(cache, capsys):
    for name in ("kernels/.partial-6.1-x", "apt/state", "kernels/6.1", "images/bytecode"):
        (cache / name).mkdir(parents=True)
    (cache / "images" / "a.ext4").touch()
    assert main(["kernels", "prune"]) == 0
    assert "removed .partial-6.1-x\n" in capsys.readouterr().out
    assert {path.name for path in cache.rglob("*") if ".lock-" not in path.name} == {
        "kernels", "images"
    }  # fmt: skip


@pytest.mark.parametrize("json_", [[], ["--json"]])
def test_features_of_no_kernel_leave_no_results(cache, capsys, monkeypatch, tmp_path, json_):
    monkeypatch.setattr(cli, "check_tools", lambda: None)
    monkeypatch.setattr(cli, "at_once", lambda *_: 1)
    argv = ["features", "/none/bzImage", *json_, "--results", str(tmp_path / "results")]
    assert main(["kernels", *argv]) == 22
    assert not list((tmp_path / "results").iterdir())
    out = capsys.readouterr().out
    assert (json.loads(out) == {"/none/bzImage": {}}) if json_ else "since" in out


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["path", "/none/bzImage"], 22, "there is no kernel image /none/bzImage"),
        (["prune", "6.1"], 22, "no kernel 6.1 is cached: cached are: none"),
        (["list", "--", "-m", "x"], 13, "`kernels list` takes nothing after --"),
        (["run", "--jobs", "0"], 2, "argument -j/--jobs: 0 is not a number of at least 1"),
        (["run", "-j", "x"], 2, "argument -j/--jobs: x is not a number of at least 1"),
        (["path", "~nosuchuser/bzImage"], 22, "there is no user for ~nosuchuser/bzImage"),
        (["shell", "/none/bzImage"], 22, "there is no kernel image"),
    ],
)
def test_bad_input_is_one_line_and_a_code(cache, capsys, monkeypatch, argv, code, words):
    monkeypatch.setattr(cli, "check_tools", lambda: None)
    monkeypatch.setattr(cli.sys.stdin, "isatty", lambda: True, raising=False)
    try:
        found = main(["kernels", *argv])
    except SystemExit as end:
        found = end.code
    said = capsys.readouterr().err
    assert found == code
    assert len(said.splitlines()) == 1 + (argv[0] == "shell")
    assert words in said


def test_a_shell_in_an_unknown_testbed_boots_nothing(cache, capsys):
    assert main(["kernels", "shell", "6.12", "nope"]) == 13
    assert "testbed 'nope' is unknown" in capsys.readouterr().err


def test_a_shells_guest_gets_the_harness_and_not_the_directory_we_are_in(
    cache, monkeypatch, tmp_path
):
    class Fake:
        def __init__(self, *_):
            self.results = [Result("6.12")]

        def resolve(self, *_):
            pass

        def accelerator(self):
            return emulation("a test")

        def interact(self, job, _):
            seen.append(job)
            return Ended(7, "", (), {})

    seen = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "Campaign", Fake)
    monkeypatch.setattr(cli, "check_tools", lambda: None)
    monkeypatch.setattr(cli, "at_once", lambda *_: 1)
    monkeypatch.setattr(cli.sys.stdin, "isatty", lambda: True, raising=False)
    assert main(["kernels", "shell", "6.12"]) == 7
    assert seen[0].directory == Path(harness.__file__).parents[1]


def test_a_figure_of_nothing_has_no_change():
    assert exact._cells([0.0, 10.0, None, 0.0]) == ["0", "10", ".", "0 (-100.0 %)"]


def test_what_follows_the_dashes_is_pytests(cache, monkeypatch):
    seen = {}

    def stop(words, *_):
        seen["words"] = words
        raise UnknownNameError("enough")

    monkeypatch.setattr(cli, "check_tools", lambda: None)
    monkeypatch.setattr(cli, "at_once", lambda *_: 1)
    monkeypatch.setattr(cli.selection, "check", stop)
    assert main(["kernels", "run", "6.1", "-j", "2", "--", "-m", "conformance", "-k", "x"]) == 13
    assert seen["words"] == ["-m", "conformance", "-k", "x"]
    assert main(["kernels", "run"]) == 13
    assert seen["words"] == ["-m", "conformance"]


def test_the_room_of_kernels_imports_no_pytest():
    program = "import sys, harness.kernels; sys.exit('pytest' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
