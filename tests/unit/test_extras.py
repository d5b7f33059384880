# SPDX-License-Identifier: Apache-2.0
"""What an extra of pyproject.toml brings is imported by the tests that use it, not by modules.

So `pytest -m conformance` collects, in a checkout, with no more than `pip install -e .`.
"""

import re
import tomllib

import pytest

from tests.support.run_cli import ROOT, end, pytest_of, start

BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {extras!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}: it comes with an extra")

sys.meta_path.insert(0, Blocker())
"""


def extras():
    """Modules of what the extras name, and of what jsonschema brings with it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [one for group in project["optional-dependencies"].values() for one in group]
    names = {re.match(r"[\w-]+", one)[0].replace("-", "_") for one in named}
    return names | {"referencing", "importlinter"}


def collect(tmp_path, *arguments):
    (tmp_path / "without_extras.py").write_text(BLOCKER.format(extras=sorted(extras())))
    options = ("-q", "-p", "without_extras", "-m", "conformance", "--collect-only", *arguments)
    return end(start(pytest_of(*options), {"PYTHONPATH": str(tmp_path), "PYTEST_ADDOPTS": ""}))


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """A run that was told to collect the harness's own tests, too."""
    return collect(tmp_path_factory.mktemp("everything"), "tests", "testbeds")


def test_conformance_is_collected_without_any_extra(everything):
    assert {"jsonschema", "selenium", "mypy"} <= extras()
    assert everything.code == 0, everything.text
    assert "tests/unit" not in everything.out
    assert "testbeds/one_node/test_legs.py::test_hr07" in everything.out


def selected(text):
    """Tests selected, and tests collected, by pytest's last line."""
    found = re.search(r"(\d+)/(\d+) tests collected", text)
    return int(found[1]), int(found[2])


def test_conformance_alone_leaves_the_harness_s_own_tests_uncollected(everything, tmp_path):
    """They take seconds to collect, and none is of the catalogue."""
    (chosen, collected), (same, more) = map(selected, (collect(tmp_path).out, everything.out))
    assert chosen == same
    assert collected < more


def test_a_module_that_imports_one_is_found(tmp_path):
    (tmp_path / "test_it.py").write_text("import jsonschema\n")
    ended = collect(tmp_path, str(tmp_path))
    assert ended.code == 2
    assert "No module named 'jsonschema': it comes with an extra" in ended.out
