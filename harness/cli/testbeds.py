# SPDX-License-Identifier: Apache-2.0
"""`hostroute testbeds`: the testbeds, or the drawing of one."""

from __future__ import annotations

import argparse
import importlib
import inspect

from harness.cli.command import Command
from harness.cli.output import show
from testbeds import TESTBEDS, find


def _drawing(name: str) -> str:
    """What stands at the head of the testbed's folder."""
    return inspect.getdoc(importlib.import_module(f"testbeds.{name}")) or "no drawing"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("testbed", nargs="?", metavar="TESTBED", help="draw this one")


def _run(arguments: argparse.Namespace) -> int:
    if arguments.testbed is not None:
        find(arguments.testbed)
        show(*_drawing(arguments.testbed).splitlines())
        return 0
    for name in TESTBEDS:
        show(f"{name:<14}{_drawing(name).splitlines()[0]}")
    return 0


COMMAND = Command("testbeds", "list the testbeds, or draw one", _arguments, _run)
