# SPDX-License-Identifier: Apache-2.0
"""The command line, `hostroute`. One file per command, registered here."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from harness import __version__
from harness.cli import (
    claims,
    datapaths,
    inspect,
    kernels,
    report,
    results,
    shell,
    status,
    testbeds,
)
from harness.cli.output import complain
from harness.plumbing.errors import EXIT_CODES, HarnessError
from harness.plumbing.printable import one_line
from harness.plumbing.signals import as_interrupts, deferred

COMMANDS = {
    command.name: command
    for command in (
        status.COMMAND,
        inspect.COMMAND,
        testbeds.COMMAND,
        datapaths.COMMAND,
        claims.COMMAND,
        shell.COMMAND,
        results.COMMAND,
        report.COMMAND,
        kernels.COMMAND,
    )
}
_REFUSED = HarnessError.exit_code
USAGE, INTERRUPTED, PIPE_CLOSED = 2, 130, 141  # 128 + SIGINT, 128 + SIGPIPE: as a shell says it


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with an argument in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"hostroute: {one_line(message)}: see `{self.prog} --help`\n")


def _parser() -> argparse.ArgumentParser:
    codes = {
        0: "done", USAGE: "wrong usage", **EXIT_CODES,
        INTERRUPTED: "interrupted by Ctrl-C, SIGTERM or SIGHUP",
        PIPE_CLOSED: "whoever read the output has ended",
    }  # fmt: skip
    parser = _Parser(
        prog="hostroute",
        description="eBPF host routing: its status, its testbeds, its datapaths, its results.",
        epilog="exit codes:\n" + "\n".join(f"  {code:>3}  {text}" for code, text in codes.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"hostroute {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS.values():
        command.arguments(
            commands.add_parser(command.name, help=command.summary, description=command.summary)
        )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: The arguments; the process's own by default.

    Returns:
        The exit code; what can go wrong is a line on stderr, never a traceback.
    """
    _open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may know fewer characters than we use
        sys.stdout.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if argv is None else argv)
    # What follows -- is for the program that `kernels` runs; argparse cannot keep it apart.
    end = words.index("--") if words[:1] == ["kernels"] and "--" in words else len(words)
    arguments = _parser().parse_args(words[:end], argparse.Namespace(passed=words[end + 1 :]))
    try:
        _check_working_directory()
        with as_interrupts(), deferred():
            code = COMMANDS[arguments.command].run(arguments)
        sys.stdout.flush()
    except HarnessError as error:
        complain(error)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _give_up_stdout()
        return PIPE_CLOSED
    except OSError as error:
        # Of standard output that takes no more, a full disk's, the system names no file.
        doubt = "" if error.filename else ": is there room for the output?"
        complain(f"{error}{doubt}")
        _give_up_stdout_if_full()
        return _REFUSED
    return code


def _check_working_directory() -> None:
    """Refuse one that was deleted: compilers and relative paths would fail in words of their own.

    Raises:
        HarnessError: It was.
    """
    try:
        Path.cwd()
    except FileNotFoundError:
        raise HarnessError(
            "the working directory was deleted", "change to one that exists: `cd`"
        ) from None


def _open_closed_streams() -> None:
    """Give standard streams that the caller closed (`>&-`) somewhere to go.

    Python has None in their place, and the next file that is opened would be descriptor 1.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = os.O_WRONLY if number else os.O_RDONLY
            nowhere = os.open(os.devnull, mode)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, "w" if number else "r"))


def _give_up_stdout_if_full() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        _give_up_stdout()


def _give_up_stdout() -> None:
    """The interpreter flushes stdout once more at its end: give it somewhere to."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
