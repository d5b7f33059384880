# SPDX-License-Identifier: Apache-2.0
"""The plugin in other people's runs: silent, cheap, and only about tests that use a testbed."""

import sys

import pytest

from tests.support.run_cli import ROOT, end, start

PAYROLL = """
import pytest

@pytest.fixture(params=["smith", "jones"])
def family(request):
    return request.param

@pytest.fixture
def datapath():
    return "of the pay slip"

def test_hr10_payroll(family, datapath):
    assert family in ("smith", "jones")
    assert datapath == "of the pay slip"

@pytest.mark.slow
def test_slow(): pass
"""
HEAVY = """
import sys

def pytest_unconfigure():
    found = {name.partition(".")[0] for name in sys.modules}
    print("imported:", *sorted(found & {"harness", "testbeds", "pyroute2", "scapy", "numpy"}), ".")
"""


@pytest.fixture
def project(tmp_path):
    """A project of somebody else, and a function that runs its tests."""
    (tmp_path / "test_pay.py").write_text(PAYROLL)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (tmp_path / "looks.py").write_text(HEAVY)

    def run(*arguments):
        argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "looks",
                "-p", "pytest_hostroute", "--rootdir", str(tmp_path), *arguments]  # fmt: skip
        path = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PYTEST_ADDOPTS": ""}
        return end(start(argv, path, cwd=tmp_path))

    run.directory = tmp_path
    return run


def test_a_run_of_somebody_else_is_left_alone(project):
    ended = project("-v", "--strict-markers", "-W", "error")
    assert ended.code == 0, ended.text
    assert "test_hr10_payroll[smith] PASSED" in ended.out
    assert "3 passed" in ended.out
    assert "host routing" not in ended.out
    assert "imported: ." in ended.out


def test_nothing_is_littered(project):
    assert project("--collect-only", "-q").code == 0
    assert not (project.directory / ".benchmarks").exists()
    assert not (project.directory / "results").exists()


def test_a_storage_that_was_there_stays(project):
    (project.directory / ".benchmarks").mkdir()
    assert project("-q").code == 0
    assert (project.directory / ".benchmarks").is_dir()


def test_a_project_with_a_harness_of_its_own(project):
    (project.directory / "harness").mkdir()
    (project.directory / "harness" / "__init__.py").write_text("MINE = True\n")
    (project.directory / "test_mine.py").write_text("from harness import MINE\n\n"
                                                    "def test_mine(): assert MINE\n")  # fmt: skip
    ended = project("-q", "-W", "error")
    assert ended.code == 0, ended.text
    assert "4 passed" in ended.out


def test_whose_harness_it_is_is_said_where_ours_is_asked_for(project):
    (project.directory / "harness").mkdir()
    (project.directory / "harness" / "__init__.py").write_text("MINE = True\n")
    ended = project("-q", "--hr-brief")
    assert ended.code == pytest.ExitCode.USAGE_ERROR
    assert f"hostroute: `harness` is {project.directory}/harness, not {ROOT}/harness: rename" in (
        ended.text
    )
    assert "Traceback" not in ended.text


def test_a_test_that_uses_a_fixture_of_ours_is_ours_and_the_others_are_not(project):
    (project.directory / "test_ours.py").write_text(
        "def test_hr07_x(datapath, family, hr_observed):\n    hr_observed('mark', 7)\n"
    )
    ended = project("-v", "-W", "error")
    assert ended.code == 0, ended.text
    assert "test_hr07_x[bpf-skip-fib-ipv6] PASSED" in ended.out
    assert "test_hr10_payroll[jones] PASSED" in ended.out
    (row,) = [line for line in ended.out.splitlines() if line.startswith("HR-")]
    assert row.startswith("HR-07")
    assert "imported: harness" in ended.out


def test_a_fixture_of_ones_own_hides_ours(project):
    (project.directory / "test_own.py").write_text(
        "import pytest\n\n@pytest.fixture\ndef one_node():\n    return 1\n\n"
        "def test_hr07_x(one_node):\n    assert one_node == 1\n"
    )
    ended = project("-v", "-W", "error")
    assert ended.code == 0, ended.text
    assert "test_own.py::test_hr07_x PASSED" in ended.out
    assert "imported: ." in ended.out


def test_every_option_has_a_prefix(project):
    ended = project("--help")
    assert ended.code == 0
    assert "--hr-datapath=NAME[,NAME]" in ended.out
    assert "--datapath" not in ended.out.replace("--hr-datapath", "")


def test_importing_the_plugin_costs_little():
    """Beside what pytest itself imports: the rest comes when a run is ours."""
    code = "import sys, pytest; before = set(sys.modules); import pytest_hostroute;" \
           "print(*sorted(set(sys.modules) - before))"  # fmt: skip
    ended = end(start([sys.executable, "-c", code]))
    assert ended.code == 0, ended.text
    assert ended.out.split() == ["pytest_hostroute"]
