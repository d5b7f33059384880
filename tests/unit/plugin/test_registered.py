# SPDX-License-Identifier: Apache-2.0
"""Registered things that are missing, broken or there twice: one line and a documented code."""

import sys

import pytest

from harness.plumbing.errors import UnknownNameError
from tests.support.run_cli import CLI, ROOT, end, start

TESTS = """
import pytest

def test_hr07_x(datapath, family, hr_observed): pass
def test_observed(hr_observed): hr_observed("what", 1)

@pytest.mark.bench
@pytest.mark.compares("one_node")
def test_every_measure(hr_comparison, family): pass

@pytest.mark.bench
@pytest.mark.compares("one_node", "connections")
def test_one_measure(hr_comparison, family): pass
"""
REGISTERS = """
def pytest_hostroute_register(suites):
    import testbeds
    from harness.bench import MEASURES
    from harness.datapath import DATAPATHS
    from harness.topology import TESTBEDS, Blueprint, Topology
    testbeds.register()
"""
ENTRY_POINTS = """
[hostroute.testbeds]
three_node = theirs:RAISES
[hostroute.datapaths]
theirs = theirs:RAISES
[hostroute.measures]
their-measure = theirs:RAISES
"""
BROKEN = "(theirs:RAISES, of package theirs) cannot be loaded (RuntimeError('gone\\nforged'))"
ALL, CONFORMANCE, BENCH = (), ("-m", "not bench"), ("-m", "bench")


@pytest.fixture
def project(tmp_path):
    """A project of somebody else; its attributes run pytest and the command line in it."""
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    path = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PYTEST_ADDOPTS": ""}

    class Project:
        def registers(self, line):
            (tmp_path / "conftest.py").write_text(f"{REGISTERS}    {line}\n")

        def has_broken_entry_points(self):
            self.registers("pass")
            (tmp_path / "theirs.py").write_text("raise RuntimeError('gone\\nforged')\n")
            (tmp_path / "theirs-1.dist-info").mkdir()
            (tmp_path / "theirs-1.dist-info" / "METADATA").write_text("Name: theirs\nVersion: 1\n")
            (tmp_path / "theirs-1.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)

        def run(self, *arguments):
            argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error",
                    "-p", "pytest_hostroute", "--rootdir", str(tmp_path), *arguments]  # fmt: skip
            return end(start(argv, path, cwd=tmp_path))

        def hostroute(self, *arguments):
            return end(start((*CLI, *arguments), path, cwd=tmp_path))

    return Project()


def refused(ended, words):
    assert ended.code == UnknownNameError.exit_code, ended.text
    assert "Traceback" not in ended.text
    assert "INTERNALERROR" not in ended.text
    (line,) = [line for line in ended.text.splitlines() if "hostroute: " in line]
    assert f"hostroute: {words}" in line
    assert "passed" not in ended.text


@pytest.mark.parametrize("arguments", [ALL, CONFORMANCE, BENCH, ("--hr-brief",)])
def test_no_datapath(project, arguments):
    """Found out before tests are collected, or while they are."""
    project.registers("DATAPATHS.clear()")
    words = "no datapath is registered: install a package that registers a datapath"
    refused(project.run(*arguments), words)


def test_no_measure(project, tmp_path):
    project.registers("MEASURES.clear()")
    ended = project.run()
    assert ended.code == pytest.ExitCode.INTERRUPTED  # pytest's, of a module that it cannot collect
    assert "Traceback" not in ended.text
    said = "measure 'connections' is unknown: install a package that registers a measure"
    assert ended.out.splitlines().count(said) == 1
    named = '@pytest.mark.compares("one_node", "connections")'
    assert named in TESTS
    (tmp_path / "test_it.py").write_text(TESTS.replace(named, ""))
    refused(project.run(*BENCH), "no measure is registered: install a package that registers")


def test_no_default_arm(project):
    project.registers("del DATAPATHS['bpf']")
    refused(project.run(), "datapath 'bpf' is unknown: use legacy, bpf-redirect, bpf-skip-fib")


def test_a_testbed_registered_twice_with_different_contents(project):
    project.registers("TESTBEDS.register('one_node', Blueprint(Topology()))")
    words = "testbed 'one_node' is registered twice, with different contents: rename one"
    refused(project.run("--hr-brief"), words)
    refused(project.run(), words)


def test_the_same_testbed_registered_twice(project):
    project.registers("TESTBEDS.register('one_node', testbeds.one_node.BLUEPRINT)")
    ended = project.run(*CONFORMANCE)
    assert ended.code == 0, ended.text


def test_an_entry_point_that_raises_disturbs_only_those_who_ask_for_it(project):
    project.has_broken_entry_points()
    refused(project.run(*CONFORMANCE), f"datapath 'theirs' {BROKEN}")
    refused(project.run(*CONFORMANCE, "--hr-datapath", "theirs"), f"datapath 'theirs' {BROKEN}")
    refused(project.run(*BENCH), f"measure 'their-measure' {BROKEN}")
    ended = project.run(*CONFORMANCE, "--hr-datapath", "bpf,legacy", "--collect-only")
    assert ended.code == 0, ended.text
    assert "\n5/" in ended.out  # of legacy and bpf four, and one of none
    ended = project.run(*CONFORMANCE, "-k", "observed")
    assert ended.code == 0, ended.text
    ended = project.run(*BENCH, "-k", "one_measure", "--collect-only")
    assert ended.code == 0, ended.text
    assert "[connections-ipv4]" in ended.out


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ("@pytest.mark.datapaths('theirs')\ndef test_x(datapath, hr_observed): pass", "datapath"),
        ("@pytest.mark.compares('one_node', 'their-measure')\n"
         "def test_x(hr_comparison, family): pass", "measure"),
        ("@pytest.mark.compares('three_node', 'connections')\n"
         "def test_x(hr_comparison, family, arm): pass", "testbed"),
    ],
)  # fmt: skip
def test_a_marker_that_names_it_is_one_line(project, tmp_path, test, words):
    project.has_broken_entry_points()
    (tmp_path / "test_it.py").write_text(f"import pytest\n{test}\n")
    ended = project.run()
    assert ended.code == pytest.ExitCode.INTERRUPTED, ended.text
    assert "Traceback" not in ended.text
    assert "INTERNALERROR" not in ended.text
    said = [line for line in ended.out.splitlines() if line.startswith(words)]
    assert len(said) == 1, ended.text
    assert BROKEN in said[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("datapaths",), "datapath 'theirs'"),
        (("testbeds",), "testbed 'three_node'"),
        (("testbeds", "three_node"), "testbed 'three_node'"),
        (("shell", "three_node"), "testbed 'three_node'"),
        (("status", "--datapath", "theirs"), "datapath 'theirs'"),
    ],
)
def test_on_the_command_line(project, arguments, words):
    project.has_broken_entry_points()
    ended = project.hostroute(*arguments)
    assert ended.code == UnknownNameError.exit_code
    assert ended.err == f"hostroute: {words} {BROKEN}: mend or uninstall that package\n"
