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
def test_hr15_passes(hr_observed): pass
"""


def run(tmp_path, **environment):
    (tmp_path / "test_child.py").write_text(MODULE)
    arguments = pytest_of("-q", "-p", "pytest_hostroute", str(tmp_path), rootdir=tmp_path)
    return end(start(arguments, environment))


def test_every_failure_is_annotated(tmp_path):
    ended = run(tmp_path, GITHUB_ACTIONS="true")
    found = [line for line in ended.out.splitlines() if line.startswith("::")]
    assert found == [
        "::error file=test_child.py,line=4,title=test_hr13_ttl::TTL at pod2: assert [64] == [63]",
        "::error file=test_child.py,line=11,title=test_hr14_broken::OSError: 100 %25 cut",
    ]


@pytest.mark.parametrize("environment", [{"GITHUB_ACTIONS": ""}, {"GITHUB_ACTIONS": "false"}])
def test_elsewhere_nothing_is(tmp_path, environment):
    assert "::error" not in run(tmp_path, **environment).out


def test_lines_stay_within_their_command():
    line = annotation("a,b:c", 3, "x\n::debug::b", ["first\r\n::error::", "50 %"])
    assert line == (
        "::error file=a%2Cb%3Ac,line=3,title=x %3A%3Adebug%3A%3Ab::first ::error::%0A50 %25"
    )
