# SPDX-License-Identifier: Apache-2.0
"""Mutation testing, a sample: minutes. `pytest -m slow -k mutants`; all of it: `tox -e mutants`."""

import sys

import pytest

from tests.support.run_cli import end, start

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("hr_machine")]
_MINUTES = 3600.0


@pytest.mark.parametrize(
    ("options", "least"), [((), 90), (("--python",), 80)], ids=["bpf", "python"]
)
def test_slow_mutants_drawn_at_random_are_caught(options, least, tmp_path):
    argv = [sys.executable, "-m", "testbeds.mutants", "--mechanical", "--sample", "30", "--least",
            str(least), *options]  # fmt: skip
    ended = end(start(argv, {"XDG_CACHE_HOME": str(tmp_path), "PYTEST_ADDOPTS": ""}), _MINUTES)
    assert ended.code == 0, ended.text
