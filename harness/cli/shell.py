# SPDX-License-Identifier: Apache-2.0
"""`hostroute shell`: a testbed to look around in, gone when the shell ends."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from harness.bpf.pool import unload_idle
from harness.cli.command import Command, add_bring, add_settings, asked_for, features, settings
from harness.cli.output import show
from harness.plumbing.errors import UnknownNameError
from harness.plumbing.inhabitants import end_inhabitants, ended_with_us
from harness.plumbing.signals import interruptible
from harness.testbed import Testbed
from harness.testbed.prerequisites import check_machine
from harness.topology import TESTBEDS, Host, Network


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("testbed", metavar="TESTBED", help="see `hostroute testbeds`")
    parser.add_argument("host", metavar="HOST", nargs="?", default="master",
                        help="the host to be in (default: %(default)s)")  # fmt: skip
    parser.add_argument(
        "--datapath",
        metavar="NAME",
        help="what the nodes run (default: what --bring names, or bpf)",
    )
    add_bring(parser)
    add_settings(parser)


def _find_host(network: Network, name: str) -> Host:
    try:
        return network.host(name)
    except KeyError:
        known = ", ".join(host.name for host in network.hosts)
        raise UnknownNameError(f"host {name!r} is unknown", f"use {known}") from None


def _introduce(testbed: Testbed) -> None:
    show(*testbed.status())
    show("from another terminal:")
    for host in testbed.network.hosts:
        show(f"  {host.name:<8} nsenter --net=/proc/{os.getpid()}/fd/{host.ns.fileno()}")
    show("the testbed is gone when this shell ends")


def _run_shell(host: Host) -> int:
    """Run the user's shell in the host's namespace; returns its exit status."""
    program = shutil.which(os.environ.get("SHELL", "")) or "/bin/sh"
    child = host.ns.spawn([program], stdin=None, env={**os.environ, "HOSTROUTE_HOST": host.name})
    # Ctrl-C is the shell's: it must not end us before the shell.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible():
            status = int(child.wait())
    finally:
        signal.signal(signal.SIGINT, before)
    return status if status >= 0 else 128 - status


@contextmanager
def _inhabitants_ended() -> Iterator[list[int]]:
    """At the end, end what the user left running in namespaces: a process keeps its own alive.

    Gives a list for descriptors of the namespaces; they are closed then.
    """
    held: list[int] = []
    try:
        yield held
    finally:
        end_inhabitants(held)
        for fd in held:
            os.close(fd)


def _run(arguments: argparse.Namespace) -> int:
    topology = TESTBEDS.find(arguments.testbed).topology
    datapath, asked = asked_for(arguments), settings(arguments)
    check_machine()
    kernel = features(arguments, datapath.needs)
    with ExitStack() as closing:
        closing.callback(unload_idle)
        # After the testbed: an agent that is inside has to take back what it did.
        namespaces = closing.enter_context(_inhabitants_ended())
        testbed = Testbed(
            topology, datapath, settings=asked, features=kernel, name=arguments.testbed
        )
        closing.callback(testbed.close)
        namespaces += [os.dup(host.ns.fileno()) for host in testbed.network.hosts]
        host = _find_host(testbed.network, arguments.host)
        _introduce(testbed)
        with ended_with_us(namespaces):
            return _run_shell(host)


COMMAND = Command("shell", "build a testbed and run a shell in one of its hosts", _arguments, _run)
