# SPDX-License-Identifier: Apache-2.0
"""The example of docs/own-tests.md, as it stands, in a project of its own."""

import re
import sys

import pytest

from tests.support.run_cli import ROOT, end, start

pytestmark = pytest.mark.usefixtures("hr_machine")
PAGE = (ROOT / "docs" / "own-tests.md").read_text()
REGISTERS = """
def pytest_hostroute_register(suites):
    import testbeds
    testbeds.register()
"""


@pytest.fixture
def example(tmp_path):
    """A function that runs the page's first example, perhaps with something left out."""
    found = re.search(r"```python\n(import pytest.*?)```", PAGE, re.S)
    assert found

    def run(without=""):
        assert without in found[1]
        (tmp_path / "test_mine.py").write_text(found[1].replace(without, ""))
        (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
        (tmp_path / "conftest.py").write_text(REGISTERS)
        argv = [sys.executable, "-m", "pytest", "-q", "-p", "pytest_hostroute", "-p",
                "no:cacheprovider", "-W", "error", "--strict-markers", "--hr-datapath",
                "legacy,bpf"]  # fmt: skip
        return end(start(argv, {"PYTEST_ADDOPTS": ""}, cwd=tmp_path))

    return run


def test_the_first_example_passes_as_it_stands(example):
    ended = example()
    assert ended.code == 0, ended.text
    assert "4 passed" in ended.out
    assert "HR-08" in ended.out


def test_it_fails_on_legacy_where_the_form_is_left_out(example):
    ended = example(without=", forms=masqueraded")
    assert ended.code == 1, ended.text
    assert "2 failed, 2 passed" in ended.out
