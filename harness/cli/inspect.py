# SPDX-License-Identifier: Apache-2.0
"""`hostroute inspect`: what a live node really does with its pods' packets."""

from __future__ import annotations

import argparse
import math
import time
from contextlib import ExitStack, closing

from harness import __version__
from harness.cli.command import Command
from harness.cli.inspect_watch import watch
from harness.cli.output import say, show, show_json
from harness.inspect import probe as probing
from harness.inspect import target
from harness.inspect.document import document
from harness.inspect.found import Found, find
from harness.inspect.lines import found_lines, seen_lines
from harness.inspect.notes import Notes
from harness.inspect.probe import Probed
from harness.inspect.verdict import BPF, NOT_SEEN, Verdict, judge
from harness.inspect.window import Seen, Window
from harness.plumbing.errors import LEGACY, NOT_PROVEN, UnknownNameError
from harness.plumbing.netns import NetNS
from harness.plumbing.signals import interruptible

_SECONDS, _MOST = 10.0, 86400.0


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--netns", metavar="NAME|PATH|PID",
        help="the node's network namespace (default: the one that this command runs in)",
    )  # fmt: skip
    parser.add_argument(
        "--for", dest="seconds", type=float, metavar="SECONDS",
        help=f"how long to count (default: {_SECONDS:g}; with --passive not at all)",
    )  # fmt: skip
    parser.add_argument(
        "--passive", action="store_true",
        help="touch nothing: no counters in the stack, no run counts; what is there, and with --for"
        " what the devices count anyway",
    )  # fmt: skip
    parser.add_argument(
        "--require", metavar="bpf",
        help=f"exit {LEGACY} when it is Legacy or mixed, {NOT_PROVEN} when it was not seen",
    )  # fmt: skip
    parser.add_argument(
        "--probe", nargs=2, metavar=("POD", "POD"),
        help="ping and send datagrams from one pod to another and show where they pass; a pod is"
        " its device on this node, or its namespace as --netns takes it",
    )  # fmt: skip
    parser.add_argument(
        "--watch", action="store_true",
        help="show what is counted every second, until Ctrl-C or --for, and then the verdict",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="for machines")


def _seconds(arguments: argparse.Namespace) -> float:
    asked: float | None = arguments.seconds
    if asked is None:
        if arguments.watch:
            return _MOST
        return 0.0 if arguments.passive else _SECONDS
    if not (math.isfinite(asked) and 0 < asked <= _MOST):
        raise UnknownNameError(
            f"--for {asked:g} is out of range", f"pass more than 0 and at most {_MOST:g} seconds"
        )
    return asked


def _check(arguments: argparse.Namespace) -> None:
    if arguments.require not in (None, "bpf"):
        raise UnknownNameError(f"--require {arguments.require!r} is unknown", "use bpf")
    clashes = {
        "--probe with --passive": arguments.probe and arguments.passive,
        "--probe with --watch": arguments.probe and arguments.watch,
        "--probe with --for": arguments.probe and arguments.seconds is not None,
        "--watch with --json": arguments.watch and arguments.json,
    }
    for words, both in clashes.items():
        if both:
            raise UnknownNameError(f"{words} makes no sense", "pass one of them")
    if arguments.require and arguments.passive and not arguments.seconds:
        raise UnknownNameError(
            "--require asks for what is seen, and --passive looks at nothing", "pass --for too"
        )


def _count(
    ns: NetNS, found: Found, notes: Notes, arguments: argparse.Namespace, seconds: float
) -> tuple[Seen, Verdict]:
    if not arguments.passive:
        how_long = "until Ctrl-C" if seconds == _MOST else f"for {seconds:g} s"
        say(
            f"hostroute: counting {how_long} with a table of nft's that ends with this"
            " command; run counts slow every BPF program a little meanwhile (--passive: neither)"
        )
    with Window(ns, found, notes, passive=arguments.passive) as window:
        if arguments.watch:
            watch(found, window, seconds)
        else:
            with interruptible():
                time.sleep(seconds)
        seen = window.look()
    return seen, judge(found, seen)


def _probe(ns: NetNS, found: Found, notes: Notes, pods: list[str]) -> tuple[Seen, list[Probed]]:
    with ExitStack() as closing_ends:
        one, two = (
            closing_ends.enter_context(probing.end(ns, found, wanted, name))
            for wanted, name in zip(pods, ("pod1", "pod2"), strict=True)
        )
        if not one.lxc:
            raise UnknownNameError(
                f"--probe {pods[0]!r} is not a pod of this node", "name the node's pod first"
            )
        say(
            f"hostroute: sending {probing.COUNT} pings and {probing.COUNT} datagrams from"
            f" {' and '.join(one.addresses.values())} to {' and '.join(two.addresses.values())},"
            " captured by tcpdump at both pods and at this node's devices"
        )
        return probing.probe(ns, found, notes, one, two)


def _run(arguments: argparse.Namespace) -> int:
    _check(arguments)
    seconds = _seconds(arguments)
    notes = Notes()
    with closing(target.opened(arguments.netns)) as ns:
        found = find(ns, notes)
        seen, verdict = None, None
        probed: list[Probed] = []
        if arguments.probe:
            seen, probed = _probe(ns, found, notes, arguments.probe)
            verdict = judge(found, seen)
        elif seconds:
            seen, verdict = _count(ns, found, notes, arguments, seconds)
    if arguments.json:
        rows = probing.as_json(probed) if arguments.probe else None
        show_json(document(found, seen, verdict, notes.lines, rows), indent=2)
    else:
        _print(found, seen, verdict, notes)
        show(*probing.lines(probed))
    return _exit_code(arguments, verdict)


def _print(found: Found, seen: Seen | None, verdict: Verdict | None, notes: Notes) -> None:
    show(str(verdict) if verdict else "Host Routing: not looked at (--passive)")
    show(f"  {found.node}, hostroute {__version__}", *found_lines(found))
    if seen is not None and verdict is not None:
        show(*seen_lines(found, seen, verdict))
    show(*(f"  not looked at: {line}" for line in notes.lines))


def _exit_code(arguments: argparse.Namespace, verdict: Verdict | None) -> int:
    if not arguments.require or verdict is None or verdict.host_routing == BPF:
        return 0
    return NOT_PROVEN if verdict.host_routing == NOT_SEEN else LEGACY


COMMAND = Command(
    "inspect",
    "a live node: what is attached, what it calls, and whether pods' packets enter the stack",
    _arguments,
    _run,
)
