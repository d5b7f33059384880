# SPDX-License-Identifier: Apache-2.0
"""`hostroute results conformance`: a report that one can hand in."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from harness.cli.output import show
from harness.plumbing.errors import RecordError
from harness.report import conformance_report as view
from harness.results import Run

FORMATS = ("yaml", "json", "ktap")


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument(
        "record", metavar="FILE", help="a record, FILE#ID in a merged file, or `latest` in results/"
    )
    parser.add_argument("--datapath", metavar="NAME", action="append", default=[],
                        help="of this one only; may be given several times (default: every one"
                        " that the record says something of)")  # fmt: skip
    parser.add_argument("--format", choices=FORMATS, default="yaml", help="default: %(default)s")


def run(arguments: argparse.Namespace, open_record: Callable[[str], Run]) -> int:
    """Print it."""
    found = open_record(arguments.record)
    judged = dict.fromkeys(test.datapath for test in found.conformance if test.datapath)
    if not judged:
        raise RecordError(f"{found.id} asserts nothing of a datapath", "record a conformance run")
    names = arguments.datapath or list(judged)
    if arguments.format == "ktap":
        text = "".join(view.as_ktap(found, name) for name in arguments.datapath or [None])
    else:
        reports = [view.report(found, name) for name in names]
        text = (view.as_yaml if arguments.format == "yaml" else view.as_json)(reports)
    show(*text.splitlines())
    return 0
