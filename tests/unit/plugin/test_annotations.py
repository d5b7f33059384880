# SPDX-License-Identifier: Apache-2.0
"""Annotations of a GitHub workflow: one line each, and no test can forge another command."""

import pytest

from harness.plugin.annotations import annotation
from tests.support.run_cli import end, pytest_of, start

MODULE = """
import pytest

def test_hr13_ttl(hr_observed):
    assert [64] == [63], "TTL at pod2"

@pytest.fixture
def broken():
    raise OSError("100 % cut\\n::warning::forged")

def test_hr14_broken(hr_observed, broken): pass
def test_hr15_passes(hr_observed): print("\\n::warning::printed")
"""


def run(tmp_path, *options, **environment):
    (tmp_path / "test_child.py").write_text(MODULE)
    arguments = pytest_of("-q", *options, "-p", "pytest_hostroute", str(tmp_path), rootdir=tmp_path)
    return end(start(arguments, environment))


def commands(text):
    """The lines that are, as the runner reads them: after `stop-commands` none until its word."""
    stopped, found = "", []
    for line in text.splitlines():
        if stopped and line == f"::{stopped}::":
            stopped = ""
        elif not stopped and line.startswith("::stop-commands::"):
            stopped = line.removeprefix("::stop-commands::")
        elif not stopped and line.startswith("::"):
            found.append(line)
    assert not stopped, "no later step's commands are read"
    return found


@pytest.mark.parametrize("ci", ["", "true"], ids=["short messages", "whole messages"])
@pytest.mark.parametrize("options", [(), ("-s",), ("-rA",)], ids=["captured", "printed", "shown"])
def test_every_failure_is_annotated(tmp_path, ci, options):
    ended = run(tmp_path, *options, GITHUB_ACTIONS="true", CI=ci)
    assert commands(ended.out) == [
        "::error file=test_child.py,line=4,title=test_hr13_ttl::TTL at pod2: assert [64] == [63]",
        "::error file=test_child.py,line=11,title=test_hr14_broken::OSError: 100 %25 cut",
    ]
    forged = [line for line in ended.out.splitlines() if line.startswith("::warning::")]
    assert ("::warning::forged" in forged) == bool(ci)
    assert ("::warning::printed" in forged) == bool(options)


@pytest.mark.parametrize("environment", [{"GITHUB_ACTIONS": ""}, {"GITHUB_ACTIONS": "false"}])
def test_elsewhere_nothing_is(tmp_path, environment):
    printed = run(tmp_path, **environment).out
    assert "::error" not in printed
    assert "::stop-commands::" not in printed


def test_lines_stay_within_their_command():
    line = annotation("a,b:c", 3, "x\n::debug::b", ["first\r\n::error::", "50 %"])
    assert line == (
        "::error file=a%2Cb%3Ac,line=3,title=x %3A%3Adebug%3A%3Ab::first ::error::%0A50 %25"
    )
