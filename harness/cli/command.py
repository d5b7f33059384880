# SPDX-License-Identifier: Apache-2.0
"""What a command of the command line is; the arguments that several share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from harness.datapath import Features, NodeSettings, probes
from harness.datapath.probes import HELPERS, Probe
from harness.plumbing.errors import UnknownNameError


@dataclass(frozen=True)
class Command:
    """A command, registered in `harness.cli.COMMANDS`.

    Attributes:
        name: The word on the command line.
        summary: One line for `hostroute --help`.
        arguments: Adds its arguments to its parser.
        run: Does it and returns the exit code.
    """

    name: str
    summary: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add what an operator can ask of a node. Values are judged by NodeSettings, not here."""
    parser.add_argument("--routing", default="direct", metavar="direct|tunnel|none")
    parser.add_argument("--services", default="none", metavar="none|bpf|iptables")
    parser.add_argument("--masquerade", default="none", metavar="none|bpf|iptables")
    parser.add_argument(
        "--no-host-routing", action="store_true", help="the operator switched BPF host routing off"
    )
    parser.add_argument(
        "--without", action="append", default=[], metavar="HELPER",
        help=f"pretend that the kernel lacks a helper: {', '.join(HELPERS)}",
    )  # fmt: skip


def settings(arguments: argparse.Namespace) -> NodeSettings:
    """The settings that the arguments of `add_settings` ask for.

    Raises:
        UnknownNameError: A value is not one of the known ones.
    """
    return NodeSettings(
        host_routing=not arguments.no_host_routing,
        routing=arguments.routing,
        services=arguments.services,
        masquerade=arguments.masquerade,
    )


def features(arguments: argparse.Namespace) -> Features:
    """What the running kernel can do, less what `--without` takes away.

    Raises:
        UnknownNameError: `--without` names no helper.
        PrivilegeError: The kernel lets us ask nothing.
    """
    without = cast("list[str]", arguments.without)
    for name in without:
        if name not in HELPERS:
            raise UnknownNameError(f"helper {name!r} is unknown", f"use {', '.join(HELPERS)}")
    gone = Probe(False, "taken away by --without")
    return {
        name: gone if name in without else probe for name, probe in probes.running_kernel().items()
    }
