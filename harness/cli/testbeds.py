# SPDX-License-Identifier: Apache-2.0
"""`hostroute testbeds`: the testbeds, or the drawing of one."""

from __future__ import annotations

import argparse

from harness.cli.command import Command
from harness.cli.output import show, show_json
from harness.topology import TESTBEDS


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("testbed", nargs="?", metavar="TESTBED", help="draw this one")
    parser.add_argument("--json", action="store_true", help="for machines")


def _run(arguments: argparse.Namespace) -> int:
    if arguments.json:
        named = [arguments.testbed] if arguments.testbed is not None else TESTBEDS.names()
        show_json([{"name": name, "drawing": TESTBEDS.find(name).drawing} for name in named], 2)
        return 0
    if arguments.testbed is not None:
        show(*TESTBEDS.find(arguments.testbed).drawing.splitlines())
        return 0
    for name in TESTBEDS.names():
        title = TESTBEDS.find(name).drawing.partition("\n")[0]
        show(f"{name:<14}{title}")
    return 0


COMMAND = Command("testbeds", "list the testbeds, or draw one", _arguments, _run)
