# SPDX-License-Identifier: Apache-2.0
"""A project of somebody else with a datapath called `mine`, and pytest run in it. Needs no root."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from harness import results
from harness.results import Run
from tests.support.run_cli import Ended, end, pytest_of, start

_CONFTEST = """
from harness.datapath import BOTH, Claims

class Mine:
    name, summary, needs = "mine", "somebody else's", frozenset()
    {body}

def pytest_hostroute_register(suites):
    from harness.datapath import DATAPATHS
    DATAPATHS.register("mine", Mine())
"""
#: A datapath that bypasses the stack, and declines whatever a datapath may.
LEAST = 'bypasses_stack=True, delivers="lxc", forwards="redirect"'


class Project:
    """A directory with a conftest.py and a test module."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.claims()

    def claims(self, *claimed: str) -> None:
        """Have `mine` claim the least, and these: `time_exceeded=BOTH`."""
        self.datapath(f"claims = Claims({', '.join((LEAST, *claimed))})")

    def datapath(self, body: str) -> None:
        """Have it claim what this line of its class says."""
        install = "\n    def install(self, node, settings): raise AssertionError('installed')"
        text = _CONFTEST.format(body=body + install)
        (self.directory / "conftest.py").write_text(text, encoding="utf-8")

    def run(self, module: str, *options: str) -> Ended:
        """Run pytest on a module, with a record and JUnit's file."""
        (self.directory / "test_child.py").write_text(module, encoding="utf-8")
        arguments = pytest_of(
            "-p", "pytest_hostroute", "--hr-record", f"--junitxml={self.directory / 'junit.xml'}",
            *options, str(self.directory), rootdir=self.directory,
        )  # fmt: skip
        return end(start(arguments, {"PYTEST_ADDOPTS": ""}))

    def record(self) -> Run:
        """The record of its only run."""
        (found,) = results.read_all([self.directory / "results"])
        return found

    def junit(self) -> dict[str, ElementTree.Element]:
        """Test's name → its element in JUnit's file."""
        tree = ElementTree.parse(self.directory / "junit.xml")
        return {case.attrib["name"]: case for case in tree.iter("testcase")}
