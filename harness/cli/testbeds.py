# SPDX-License-Identifier: Apache-2.0
"""`hostroute testbeds`: the testbeds, or the drawing of one."""

from __future__ import annotations

import argparse

from harness.cli.command import Command
from harness.cli.output import show
from harness.topology import TESTBEDS


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("testbed", nargs="?", metavar="TESTBED", help="draw this one")


def _run(arguments: argparse.Namespace) -> int:
    if arguments.testbed is not None:
        show(*TESTBEDS.find(arguments.testbed).drawing.splitlines())
        return 0
    for name in TESTBEDS.names():
        title = TESTBEDS.find(name).drawing.partition("\n")[0]
        show(f"{name:<14}{title}")
    return 0


COMMAND = Command("testbeds", "list the testbeds, or draw one", _arguments, _run)
