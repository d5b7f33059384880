# SPDX-License-Identifier: Apache-2.0
"""`hostroute report`: records as a page, as a job's summary, or as CSV."""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import suppress
from pathlib import Path

from harness.cli.command import Command
from harness.cli.output import complain
from harness.datapath.catalogue import CATALOGUE
from harness.plumbing import safe_read, safe_write
from harness.plumbing.errors import RecordError, UnknownNameError
from harness.report import FORMATS, Digest, Report, digest
from harness.results import files, read_all

_STDOUT = "-"
#: How a report of ours begins or ends; such a file may be replaced.
_OURS = re.compile(
    rb'\A<!DOCTYPE html>.{,500}<meta name="generator" content="hostroute report">'
    rb"|\Arun,started,kernel,machine,measure,"
    rb"|<!-- hostroute report -->\s*\Z",
    re.S,
)
_ENDS = 1024  # bytes of a file at which that shows
#: What would flood a terminal.
_WHAT = {"html": "a page is", "csv": "CSV is"}
_PARTLY = RecordError.exit_code


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "results", nargs="*", default=["results"], metavar="RESULTS",
        help="record files, or directories that hold some (default: results)",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", default=_STDOUT, metavar="FILE",
        help="where to; an older report there is replaced (default: standard output)",
    )  # fmt: skip
    parser.add_argument(
        "--format", metavar="|".join(FORMATS),
        help="what kind (default: by the FILE's suffix, else html)",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="replace FILE even if it is no report")


def _run(arguments: argparse.Namespace) -> int:
    kind = _format(arguments.format, arguments.output)
    found = _files(arguments.results)
    if arguments.output != _STDOUT:
        _check_target(Path(arguments.output), found, force=arguments.force)
    elif kind in _WHAT and sys.stdout.isatty():
        raise RecordError(
            f"{_WHAT[kind]} not for a terminal",
            f"name a file, as in -o report.{kind}, or see `hostroute results show latest`",
        )
    report = _report(found)
    text = FORMATS[kind](report)
    if kind == "csv" and text.count("\n") == 1:
        complain("CSV holds what was measured, which here is nothing")
    if arguments.output == _STDOUT:
        sys.stdout.write(text)
    else:
        _write(Path(arguments.output), text)
    for reason in report.unread:
        complain(f"left out: {reason}")
    return _PARTLY if report.unread else 0


def _format(asked: str | None, output: str) -> str:
    """The format asked for, or that of the file's suffix."""
    kind = asked or Path(output).suffix.removeprefix(".").lower()
    if not asked and kind not in FORMATS:
        return next(iter(FORMATS))
    if kind not in FORMATS:
        raise UnknownNameError(f"--format {kind!r} is unknown", f"use {', '.join(FORMATS)}")
    return kind


def _files(names: list[str]) -> list[Path]:
    """Record files, each once; a directory stands for those in it."""
    found: dict[Path, None] = {}
    for path in map(Path, names):
        found.update(dict.fromkeys(files(path)))
    return list(found)


def _report(named: list[Path]) -> Report:
    """All that can be read of the files named; what cannot is named in the report.

    A record is digested before the next is read: their samples together may be gigabytes.

    Raises:
        RecordError: None can be read.
    """
    found: dict[str, Digest] = {}
    unread: list[str] = []
    for file in named:
        try:
            for run in read_all([file]):
                short = digest(run)
                if found.setdefault(run.id, short) != short:
                    raise RecordError(f"{file} is not what another file says of the run {run.id}")
        except RecordError as error:
            if len(named) == 1:
                raise
            unread.append(str(error))
    if not found:
        raise RecordError(
            f"none of {len(named)} files can be read, such as {unread[0]}", "name other files"
        )
    return Report(
        digests=tuple(sorted(found.values(), key=lambda each: (each.run.started, each.run.id))),
        titles={identity: entry.title for identity, entry in CATALOGUE.items()},
        later={identity: entry.later for identity, entry in CATALOGUE.items() if entry.later},
        unread=tuple(unread),
    )


def _check_target(target: Path, records: list[Path], *, force: bool) -> None:
    """Refuse to replace what is no report, and never replace a record that is being read.

    Raises:
        RecordError: The file is something else.
    """
    if any(_same(target, file) for file in records):
        raise RecordError(f"{target} is one of the records", "name another file with -o")
    try:
        if target.is_dir():
            raise RecordError(
                f"cannot write the report {target} (it is a directory)",
                f"name a file, as in -o {target / 'report.html'}",
            )
        safe_write.check_replaceable(target)
        if force or not target.is_file() or target.stat().st_size == 0:
            return
        text = safe_read.ends(target, _ENDS)
    except OSError as error:
        raise _cannot_write(target, error) from None
    if not _OURS.search(text):
        raise RecordError(f"{target} is no report of hostroute", "name another file, or --force")


def _same(target: Path, file: Path) -> bool:
    """Whether both are one file; of one that is gone the others are to be asked all the same."""
    with suppress(OSError):
        return target.samefile(file)
    return False


def _write(target: Path, text: str) -> None:
    """Make the file appear whole, or leave the old one as it is. A device or FIFO is written to.

    Raises:
        RecordError: It cannot be written.
    """
    try:
        safe_write.replace(target, text.encode())
    except OSError as error:
        raise _cannot_write(target, error) from None


def _cannot_write(target: Path, error: OSError) -> RecordError:
    return RecordError(
        f"cannot write the report {target} ({error.strerror})",
        "make room, or name a file that can be written",
    )


COMMAND = Command("report", "draw records: a page, a summary, or CSV", _arguments, _run)
