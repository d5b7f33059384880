# SPDX-License-Identifier: Apache-2.0
"""`hostroute datapaths`: what `--datapath` may name."""

from __future__ import annotations

import argparse

from harness.cli.command import Command
from harness.cli.output import show
from harness.datapath import DATAPATHS


def _arguments(parser: argparse.ArgumentParser) -> None:
    del parser  # takes none


def _run(arguments: argparse.Namespace) -> int:
    del arguments
    for name in DATAPATHS.names():
        datapath = DATAPATHS.find(name)
        needs = ", ".join(f"bpf_{helper}" for helper in sorted(datapath.needs)) or "no helper"
        show(f"{name:<14}{datapath.summary}; needs {needs}")
    return 0


COMMAND = Command("datapaths", "list the datapaths", _arguments, _run)
