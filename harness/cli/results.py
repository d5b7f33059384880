# SPDX-License-Identifier: Apache-2.0
"""`hostroute results`: list, show, compare, gate and merge records."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from harness import results
from harness.cli import results_conformance
from harness.cli.changes import change_line
from harness.cli.command import Command
from harness.cli.output import complain, show, show_json
from harness.cli.results_show import environment_line, show_lines, verdict_counts
from harness.plumbing.errors import REGRESSED, HarnessError, RecordError, UnknownNameError
from harness.plumbing.printable import aligned
from harness.results import Run, units
from harness.results.behaviour import behaviours, common_tests
from harness.results.comparability import KINDS, Difference, require_alike
from harness.results.compare import LEAST, Change, changes
from harness.results.decode import document
from harness.results.gate import fitted_in_both, grows, judge, missing

DEFAULT = Path("results")
#: Names the newest record there.
LATEST = "latest"


def open_record(text: str) -> Run:
    """The record that FILE, FILE#ID, DIR#ID or `latest` names; an id may be cut short.

    Raises:
        RecordError: It names none, or several.
    """
    if text == LATEST and not Path(text).exists():
        found = [each for file in results.find(DEFAULT) for each in results.read_all([file])]
        if not found:
            raise RecordError(f"{DEFAULT} holds no records", "name a record, or run with --record")
        return max(found, key=lambda run: run.started)
    with results.readable(Path(text)):
        whole = Path(text).exists() or "#" not in text
    if whole:
        return results.read(Path(text))
    place, _, identity = text.rpartition("#")
    found = [each for each in results.read_all([Path(place)]) if identity in each.id]
    if len(found) != 1:
        raise RecordError(
            f"{place} holds {len(found)} records with {identity!r} in their ids",
            f"see `hostroute results list {place}`",
        )
    return found[0]


def _list(arguments: argparse.Namespace) -> int:
    place = arguments.place
    with results.readable(place):
        files = [place] if place.is_file() else results.find(place)
    rows: list[dict[str, str]] = []
    problems: list[HarnessError] = []
    for path in files:
        try:
            rows += [_row(path, each) for each in results.read_all([path])]
        except RecordError as error:
            problems.append(error)
    if arguments.json:
        show_json(rows, indent=2)
    elif rows:
        titles = ("id", "started", "kernel", "what", "verdicts", "partial")
        show(*aligned([titles, *([row[title] for title in titles] for row in rows)]))
    else:
        show(f"no records in {place}")
    for problem in problems:  # the others are shown all the same
        complain(problem)
    return problems[0].exit_code if problems else 0


def _row(path: Path, run: Run) -> dict[str, str]:
    parts = {
        "comparisons": len(run.comparisons), "growth": len(run.growth), "exact": len(run.exact),
        "conformance": len(run.conformance), "other tests": len(run.others),
    }  # fmt: skip
    return {
        "id": run.id,
        "started": run.started,
        "kernel": run.kernel,
        "what": ", ".join(f"{count} {name}" for name, count in parts.items() if count) or "nothing",
        "verdicts": verdict_counts(run) or "-",
        "partial": run.partial or "-",
        "file": str(path),
    }


def _show(arguments: argparse.Namespace) -> int:
    found = open_record(arguments.record)
    if arguments.json:
        show_json(document(found), indent=2)
    else:
        show(*show_lines(found))
    return 0


def _across(text: str) -> frozenset[str]:
    kinds = frozenset(filter(None, text.split(",")))
    unknown = sorted(kinds - set(KINDS))
    if unknown:
        raise UnknownNameError(f"--across {unknown[0]!r} is unknown", f"use {', '.join(KINDS)}")
    return kinds


def _pair(arguments: argparse.Namespace) -> tuple[Run, Run, list[Difference]]:
    across = _across(arguments.across)
    old, new = open_record(arguments.old), open_record(arguments.new)
    return old, new, require_alike(old, new, across)


def _least(arguments: argparse.Namespace) -> float:
    percent = float(arguments.least)
    if not 0 <= percent < 100:  # nan is not, either
        raise UnknownNameError(f"--least {percent:g} is no share", "name a percentage from 0 to 99")
    return percent / 100


def _mark(unlike: Iterable[Difference]) -> str:
    """What stands before every line of a comparison of the unlike."""
    kinds = dict.fromkeys(each.kind for each in unlike)
    return f"[across {', '.join(kinds)}] " if kinds else ""


def _say(lines: Iterable[str], unlike: list[Difference]) -> None:
    show(*(f"{_mark(unlike)}{line}".rstrip() for line in lines))


def _heads(old: Run, new: Run, unlike: list[Difference]) -> list[str]:
    said = [f"{role}  {each.id}  {environment_line(each)}"
            + (f"  PARTIAL: {each.partial}" if each.partial else "")
            for role, each in (("A", old), ("B", new))]  # fmt: skip
    return [*said, *(f"unlike: {each}" for each in unlike)]


def _change_json(change: Change) -> dict[str, object]:
    """JSON has no infinity: an interval without an end has null there."""
    return {
        name: None if value in (float("inf"), float("-inf")) else value
        for name, value in asdict(change).items()
    }


def _compare(arguments: argparse.Namespace) -> int:
    old, new, unlike = _pair(arguments)
    found, otherwise = changes(old, new, _least(arguments)), list(behaviours(old, new))
    fitted, absent = fitted_in_both(old, new), (list(missing(new, old)), list(missing(old, new)))
    if not (found or fitted or common_tests(old, new)):
        raise RecordError("the records have nothing in common", "see `hostroute results show`")
    if arguments.json:
        show_json({
            "old": old.id, "new": new.id, "across": sorted({each.kind for each in unlike}),
            "unlike": [asdict(each) for each in unlike],
            "changes": [_change_json(each) for each in found],
            "behaviour": [asdict(each) for each in otherwise],
            "growth": list(grows(old, new)), "fitted": fitted,
            "missing": dict(zip(("old", "new"), absent, strict=True)),
        }, indent=2)  # fmt: skip
        return 0
    lines = _heads(old, new, unlike)
    title = ""
    for change in found:
        if change.what != title:
            title = change.what
            lines += ["", title]
        lines.append(f"  {change_line(change)}")
    tests = f"{len(otherwise)} differences of behaviour in {common_tests(old, new)} tests of both"
    lines += ["", tests, *(f"  {each}" for each in otherwise)]
    if fitted:
        lines += [
            f"growth of {units.count(fitted, 'arm')} in both",
            *(f"  {x}" for x in grows(old, new)),
        ]
    for name, texts in zip("AB", absent, strict=True):
        lines += [f"missing from {name}: {text}" for text in texts]
    _say(lines, unlike)
    return 0


def _gate(arguments: argparse.Namespace) -> int:
    base, new, unlike = _pair(arguments)
    found = judge(base, new, arguments.absolute, _least(arguments))
    if found.empty:
        raise RecordError(f"{arguments.old} holds nothing to judge by", "name a base that measured")
    if arguments.json:
        listed = {name: [_change_json(each) for each in getattr(found, name)]
                  for name in ("regressions", "improvements")}  # fmt: skip
        show_json({
            "base": base.id, "new": new.id, "passed": found.passed,
            "across": sorted({each.kind for each in unlike}), **listed,
            **{name: getattr(found, name)
               for name in ("conformance", "growth", "missing", "untold", "compared", "asserted",
                            "fitted")},
        }, indent=2)  # fmt: skip
        return 0 if found.passed else REGRESSED
    lines = _heads(base, new, unlike)
    for word, changed in (("regression", found.regressions), ("improvement", found.improvements)):
        lines += [f"{word}: {each.what}: {' '.join(change_line(each).split())}" for each in changed]
    for name in ("conformance", "growth", "missing", "untold"):
        lines += [f"{name}: {text}" for text in getattr(found, name)]
    words = "passed: nothing worse" if found.passed else "failed"
    told = f"{found.compared} figures and {found.asserted} assertions compared"
    growth = f", and how {units.count(found.fitted, 'curve')} grow" if found.fitted else ""
    lines.append(f"gate {words}, {told}{growth}")
    _say(lines, unlike)
    return 0 if found.passed else REGRESSED


def _merge(arguments: argparse.Namespace) -> int:
    found = results.read_all(arguments.places)
    results.merge(found, arguments.output)
    show(f"{arguments.output}: {units.count(len(found), 'record')}")
    return 0


def _add_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("place", nargs="?", type=Path, default=DEFAULT, metavar="DIR|FILE",
                        help="where the records are (default: %(default)s)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="for machines")


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "record", metavar="FILE", help="a record, FILE#ID in a merged file, or `latest` in results/"
    )
    parser.add_argument("--json", action="store_true", help="the record itself")


def _add_pair(parser: argparse.ArgumentParser) -> None:
    first, second = ("BASE", "NEW") if parser.prog.endswith("gate") else ("A", "B")
    parser.add_argument(
        "old", metavar=first, help="a record, FILE#ID in a merged file, or `latest` in results/"
    )
    parser.add_argument("new", metavar=second, help="another")
    parser.add_argument(
        "--across", default="", metavar="KIND[,KIND]",
        help=f"compare although these are unlike, and mark every line: {', '.join(KINDS)}",
    )  # fmt: skip
    parser.add_argument(
        "--least", type=float, default=100 * LEAST, metavar="PERCENT",
        help="the least change that counts (default: %(default)g); the noise floors of both runs"
        " have to be exceeded too",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="for machines")


def _add_gate(parser: argparse.ArgumentParser) -> None:
    _add_pair(parser)
    parser.add_argument(
        "--absolute", action="store_true",
        help="judge every arm's values too, not only the ratios to its run's baseline; between two"
        " runs they drift on any but a quiet machine",
    )  # fmt: skip


def _add_merge(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("places", nargs="+", type=Path, metavar="FILE|DIR", help="what to join")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE",
                        help="the file to write; never overwritten")  # fmt: skip


_Arguments = Callable[[argparse.ArgumentParser], None]
_ACTIONS: dict[str, tuple[str, _Arguments, Callable[[argparse.Namespace], int]]] = {
    "list": ("the records of a directory", _add_list, _list),
    "show": ("environment, verdicts and conformance of a record", _add_show, _show),
    "compare": ("what changed from one record to another", _add_pair, _compare),
    "gate": (f"exit {REGRESSED} if a record is worse than its base", _add_gate, _gate),
    "conformance": (
        "a conformance report to hand in: YAML, JSON or KTAP",
        results_conformance.add,
        lambda arguments: results_conformance.run(arguments, open_record),
    ),
    "merge": ("join the records of several runs into one file", _add_merge, _merge),
}


def _arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, (summary, add, _) in _ACTIONS.items():
        add(actions.add_parser(name, help=summary, description=summary))


def _run(arguments: argparse.Namespace) -> int:
    return _ACTIONS[arguments.action][2](arguments)


COMMAND = Command(
    "results", "list, show, compare, gate, merge and hand in records", _arguments, _run
)
