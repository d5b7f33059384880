# SPDX-License-Identifier: Apache-2.0
"""CSV: a line for each arm of each comparison, and for each exact figure.

RFC 4180 with LF; figures in the measure's unit, unrounded; what is not known is empty.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator

from harness.plumbing.printable import one_line
from harness.report.model import Arm, Comparison, Exact, Report, Run

COLUMNS = (
    "run", "started", "kernel", "machine", "measure", "title", "described", "testbed", "family",
    "unit", "better", "arm", "datapath", "baseline", "typical", "share_of_limit", "ratio", "low",
    "high", "verdict", "p_value", "noise", "builds", "samples", "p50", "p90", "p99", "p99.9",
    "warnings", "partial", "nodes",
)  # fmt: skip
#: A spreadsheet takes a cell for a formula that begins with one of these, also in their full-width
#: and other compatible forms; some pass over blanks and quotes before them.
_FORMULA = ("=", "+", "-", "@", "\N{MINUS SIGN}")
_BEFORE = re.compile(r'^[\s"]+')


def comma_separated(report: Report) -> str:
    """The whole table, with its header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for run in report.runs:
        for row in _rows(run):
            writer.writerow({key: _safe(value) for key, value in row.items()})
    return text.getvalue()


def _safe(value: object) -> object:
    """A text that no spreadsheet takes for a formula, on one line; numbers as they are.

    Where the decimal point is a comma, a spreadsheet ends columns at semicolons, whatever quotes
    say: what follows one is a cell too.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    first, *others = one_line(value).split(";")
    if first[:1].isspace() or _is_formula(first):
        first = f"'{first}"
    return ";".join([first, *(f"'{cell}" if _is_formula(cell) else cell for cell in others)])


def _is_formula(cell: str) -> bool:
    return _BEFORE.sub("", unicodedata.normalize("NFKC", cell)).startswith(_FORMULA)


def _rows(run: Run) -> Iterator[dict[str, object]]:
    of_run = {
        "run": run.id, "started": run.started, "kernel": run.kernel,
        "machine": run.machine.get("machine_id_hash"),
    }  # fmt: skip
    for entry in run.comparisons:
        for arm in entry.arms.values():
            yield {**of_run, **_compared(entry, arm)}
    for figure in run.exact:
        yield {**of_run, **_counted(figure)}


def _compared(entry: Comparison, arm: Arm) -> dict[str, object]:
    found = entry.verdict_of(arm.label)
    judged = ("ratio", "low", "high", "verdict", "p_value", "noise", "builds")
    row: dict[str, object] = {
        key: getattr(entry, key)
        for key in ("measure", "title", "described", "testbed", "family", "unit", "better",
                    "baseline", "partial")
    }  # fmt: skip
    row |= {
        "arm": arm.label, "datapath": arm.datapath, "typical": arm.typical,
        "share_of_limit": entry.share_of_limit(arm), "samples": arm.samples,
        "nodes": "; ".join(f"{node}: {name}" for node, name in arm.nodes.items()),
        **{key: arm.percentiles.get(key) for key in ("p50", "p90", "p99", "p99.9")},
    }  # fmt: skip
    if found is not None:
        row |= {key: getattr(found, key) for key in judged}
        row["warnings"] = "; ".join(found.warnings)
    return row


def _counted(figure: Exact) -> dict[str, object]:
    return {
        "measure": f"exact {figure.figure}", "title": figure.figure, "described": "exact",
        "testbed": figure.testbed, "family": figure.family, "unit": figure.unit, "better": "lower",
        "arm": figure.datapath, "datapath": figure.datapath, "typical": figure.value,
    }  # fmt: skip
