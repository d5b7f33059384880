# SPDX-License-Identifier: Apache-2.0
"""Markdown for a CI job's summary: short, failures first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape

from harness.plumbing.printable import lines, one_line
from harness.report import conformance, kernels, summary, trends
from harness.report.conformance import Failure, Finding, Seen
from harness.report.model import Report
from harness.results import tally, units
from harness.results.comparison import LIMIT, Comparison

#: A job summary takes 1 MiB: what older runs measured is in the page.
SHOWN_RUNS = 6
#: The same of failures, and of the tests of one.
SHOWN_FAILURES = 30
_BLANKS = re.compile(" +")
_SPECIAL = re.compile(r"([\\`*\[\]<>|~#$]|(?<!\w)_|_(?!\w))")


def markdown(report: Report) -> str:
    """The whole text, in GitHub's flavour."""
    names = kernels.kernels_of(report.runs)
    called = kernels.short(names)
    return "\n".join([
        f"# {_plain(summary.title(report))}",
        "",
        *(_item(said) for said in summary.headline(report)),
        "",
        *(f"> {_plain(notice)}  " for notice in summary.notices(report)),
        "",
        *_conformance(report, called),
        *_differences(conformance.seen_by(report.runs), names, called),
        *_instructions(report, names, called),
        *_verdicts(report),
        *_runs(report),
        "<!-- hostroute report -->",
        "",
    ])  # fmt: skip


def _item(said: summary.Headline) -> str:
    return f"- **{_plain(said.text)}**" if said.mood == "bad" else f"- {_plain(said.text)}"


def _plain(text: str) -> str:
    """The text as it is, whatever Markdown or HTML it looks like, on one line."""
    blanks = _BLANKS.sub(" ", one_line(text).replace("&", "&amp;"))
    return _SPECIAL.sub(r"\\\1", blanks.strip())


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    found = [[_plain(cell) for cell in row] for row in rows]
    if found:
        yield "| " + " | ".join(map(_plain, columns)) + " |"
        yield "|" + " --- |" * len(columns)
        yield from ("| " + " | ".join(row) + " |" for row in found)
        yield ""


def _conformance(report: Report, called: Mapping[str, str]) -> Iterator[str]:
    seen = conformance.seen_by(report.runs)
    if not seen:
        return
    yield "## Conformance"
    yield ""
    failed = conformance.failures(seen)
    if failed:
        yield "### Failed"
        yield ""
        yield from _findings(failed, called)
        yield from _details(conformance.details(failed), called)

    if len({run.kernel for run, _ in seen}) > 1:
        found = conformance.by_kernel(seen, report.titles, called)
    else:
        found = tally.by_datapath((test for _, test in seen), report.titles)
    yield from _matrix(found, report.titles)
    for title, entries in conformance.asides(seen).items():
        yield from _folded(_plain(title), _findings(entries, called))
    for reason, ids in conformance.not_asserted(seen, report).items():
        yield f"{_plain(reason).capitalize()}: {ids}."
        yield ""


def _folded(title: str, lines: Iterable[str], *, is_open: bool = False) -> Iterator[str]:
    yield f"<details{' open' if is_open else ''}>"
    yield f"<summary>{title}</summary>"
    yield ""
    yield from lines
    yield "</details>"
    yield ""


def _matrix(found: tally.Table, titles: Mapping[str, str]) -> Iterator[str]:
    """Open if something failed: who looks at a summary looks for that."""
    rows = (
        (f"{identity} {titles.get(identity, '')}", *map(str, cells))
        for identity, cells in found.rows.items()
    )
    table = _table(("assertion", *found.columns), rows)
    title = f"Assertions: {_plain(found.total.summary)}"
    yield from _folded(title, table, is_open=bool(found.total.failed))


def _findings(found: Sequence[Finding], called: Mapping[str, str]) -> Iterator[str]:
    rows = (
        (
            entry.id,
            entry.reason or "no reason given",
            "; ".join(conformance.where(entry.tests, called)),
        )
        for entry in found
    )
    yield from _table(("assertion", "reason", "in"), rows)


def _details(found: Sequence[Failure], called: Mapping[str, str]) -> Iterator[str]:
    """The legs of each failure, its tests and pcaps; folded, as the table above has the reasons."""
    for entry in found[:SHOWN_FAILURES]:
        where = _plain("; ".join(conformance.where(entry.tests, called)))
        what = "legs expected and seen, tests, pcaps" if entry.legs else "tests, pcaps"
        yield from _folded(f"{entry.id}: {what}: {where}", _detail(entry))
    if len(found) > SHOWN_FAILURES:
        yield f"{len(found) - SHOWN_FAILURES} more failures: see the page."
        yield ""


def _detail(entry: Failure) -> Iterator[str]:
    if entry.legs:
        yield "<pre>"  # a blank line would end it
        text = lines(escape(entry.legs.side_by_side, quote=False))
        yield from (line for line in text if line.strip())
        yield "</pre>"
        yield ""
        if entry.legs.delivery:
            yield _plain(entry.legs.delivery)
            yield ""
    for _, test in entry.tests[:SHOWN_FAILURES]:
        yield f"- {_plain(test.test)}"
        yield from (f"  - {_plain(path)}" for path in test.pcaps)
    if len(entry.tests) > SHOWN_FAILURES:
        yield f"- and {len(entry.tests) - SHOWN_FAILURES} more"
    yield ""


def _differences(
    seen: Sequence[Seen], names: Sequence[str], called: Mapping[str, str]
) -> Iterator[str]:
    found = kernels.observations(seen, names)
    if found:
        yield "## Behaviour that differs between kernels"
        yield ""
        rows = ((f"{entry.id} {entry.name}", *(value or "not observed" for value in entry.values))
                for entry in found)  # fmt: skip
        yield from _table(("observed", *called.values()), rows)


def _instructions(report: Report, names: Sequence[str], called: Mapping[str, str]) -> Iterator[str]:
    found = trends.exact_trends(report.runs, names)
    if found:
        yield "## Instructions"
        yield ""
    for entry in found:
        rows = [
            (
                arm,
                *(
                    units.digits(band.typical) + entry.change(arm, at) if band else "not counted"
                    for at, band in enumerate(bands)
                ),
            )
            for arm, bands in entry.bands.items()
        ]
        yield from _table((f"{entry.name}, {entry.unit}", *called.values()), rows)


def _verdicts(report: Report) -> Iterator[str]:
    measured = [run for run in report.runs if run.comparisons][::-1]
    if measured:
        yield "## Verdicts"
        yield ""
    for run in measured[:SHOWN_RUNS]:
        if len(measured) > 1:
            yield f"### {_plain(run.kernel)}, {_plain(run.id)}"
            yield ""
        rows = [row for entry in run.comparisons for row in _rows(entry)]
        columns = ("measure", "testbed", "family", "arm", "typical", "of limit", "ratio",
                   "interval", "verdict")  # fmt: skip
        yield from _table(columns, rows)
    if len(measured) > SHOWN_RUNS:
        yield f"{len(measured) - SHOWN_RUNS} older runs measured too: see the page."
        yield ""


def _rows(entry: Comparison) -> Iterator[tuple[str, ...]]:
    for label, arm in entry.shown_arms.items():
        if label == LIMIT:
            continue
        found, share = entry.verdict_of(label), entry.share_of_limit(label)
        place = (entry.name, entry.testbed, entry.family, label)
        value = (units.shown(arm.typical, entry.unit), units.share(share))
        if found is None:
            yield (*place, *value, "", "", "baseline" if label == entry.baseline else "none")
            continue
        weak = f" ({'; '.join(found.warnings)})" if found.warnings else ""
        yield (*place, *value, units.ratio(found.ratio), units.interval(found.low, found.high),
               entry.conclusion(found) + weak)  # fmt: skip
    for label, why in entry.inapplicable.items():
        yield (
            entry.name,
            entry.testbed,
            entry.family,
            label,
            "",
            "",
            "",
            "",
            f"does not apply: {why}",
        )


def _runs(report: Report) -> Iterator[str]:
    yield "## Runs"
    yield ""
    rows = [
        (run.id, run.kernel, summary.machine_of(run), run.started,
         (run.git.commit or "unknown")[:12])
        for run in report.runs[::-1]
    ]  # fmt: skip
    yield from _table(("run", "kernel", "machine", "started", "commit"), rows[:50])
    if len(rows) > 50:
        yield f"And {len(rows) - 50} older runs."
        yield ""
