# SPDX-License-Identifier: Apache-2.0
"""What a command of the command line is; the arguments that several share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from harness import datapath as datapaths
from harness.datapath import Datapath, NodeSettings, running_kernel
from harness.datapath.brought import bring_all
from harness.datapath.features import FEATURES, Features, find
from harness.datapath.probes import Probe


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


def add_bring(parser: argparse.ArgumentParser) -> None:
    """Add `--bring`."""
    parser.add_argument(
        "--bring", action="append", default=[], type=Path, metavar="FILE.toml",
        help="a datapath of somebody else, described by this file (docs/your-datapath.md)",
    )  # fmt: skip


def asked_for(arguments: argparse.Namespace) -> Datapath:
    """What `--datapath` names; without it what `--bring` described last, or `bpf`.

    Raises:
        DescriptionError: A description is wrong, or its name is taken.
        UnknownNameError: There is no such datapath.
    """
    brought = bring_all(arguments.bring)
    name = arguments.datapath or (brought[-1].name if brought else "bpf")
    return datapaths.find(name)


#: What an operator may choose → the values, the default first, and what it is about.
_ASKED = {
    "routing": (
        "direct|tunnel|none",
        "how pods' packets cross the wire: as they are, encapsulated, or not by this datapath",
    ),
    "services": (
        "none|bpf|iptables",
        "who translates services' addresses: nobody, the BPF programs, or kube-proxy's rules",
    ),
    "masquerade": (
        "none|bpf|iptables",
        "who gives packets to the world their node's address: nobody, the BPF programs, iptables",
    ),
}


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add what an operator can ask of a node. Values are judged by NodeSettings, not here."""
    for name, (values, meaning) in _ASKED.items():
        parser.add_argument(
            f"--{name}", default=values.partition("|")[0], metavar=values,
            help=f"{meaning} (default: %(default)s)",
        )  # fmt: skip
    parser.add_argument(
        "--no-host-routing", action="store_true", help="the operator switched BPF host routing off"
    )
    parser.add_argument(
        "--without", action="append", default=[], metavar="FEATURE",
        help=f"pretend that the kernel lacks a feature: {', '.join(FEATURES)}",
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


def features(arguments: argparse.Namespace, needs: Iterable[str]) -> Features:
    """What the running kernel has of `needs`, less what `--without` takes away.

    Raises:
        UnknownNameError: `--without` names no feature.
        PrivilegeError: The kernel lets us ask nothing.
    """
    without = cast("list[str]", arguments.without)
    for name in without:
        find(name)
    gone = Probe(False, "taken away by --without")
    return running_kernel(needs) | dict.fromkeys(without, gone)
