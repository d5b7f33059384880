# SPDX-License-Identifier: Apache-2.0
"""The page: one HTML file that needs nothing else, no script and no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.report import conformance, kernels, summary
from harness.report.across import over_kernels
from harness.report.figures.lines import dots, line
from harness.report.figures.palette import Look, looks
from harness.report.figures.svg import drawing, finish, place
from harness.report.measured import Measured, measured
from harness.report.model import Report
from harness.report.provenance import surroundings
from harness.results import tally, units

#: A page of hundreds of runs stays one that a browser can open: older runs have tables only.
DRAWN_RUNS = 6
_TEMPLATES = Path(__file__).parent / "templates"


def html(report: Report) -> str:
    """The whole page."""
    names = kernels.kernels_of(report.runs)
    called = kernels.short(names)
    runs = _measured(report)
    parts = {**_conformance(report, called), **over_kernels(report, names, called)}
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            **parts,
            **surroundings(report),
            report=report,
            sections=_sections(runs, parts, len(names) > 1),
            these="this run" if len(report.runs) == 1 else "these runs",
            title=summary.title(report),
            headline=summary.headline(report),
            glance=summary.glance(report),
            notices=summary.notices(report),
            called=called,
            style=Markup((_TEMPLATES / "page.css").read_text(encoding="utf-8")),
            swatches=_swatches(report),
            measured=runs,
            drawn_runs=DRAWN_RUNS,
        )
    )


def _sections(
    runs: Sequence[Measured], parts: Mapping[str, object], several: bool
) -> list[tuple[str, str]]:
    """Id and heading of what there is to show; conformance first where kernels are compared."""
    over = any(parts[name] for name in ("differences", "exact", "times", "refused"))
    asserted = {
        ("conformance", "Conformance"): bool(parts["by_datapath"]),
        ("kernels", "Kernel to kernel"): over,
    }
    timed = {
        ("verdicts", "Verdicts"): any(run.groups for run in runs),
        ("distributions", "Latency distributions"): any(run.distributions for run in runs),
        ("growth", "Growth"): any(run.growth for run in runs),
    }
    found = {**asserted, **timed} if several else {**timed, **asserted}
    return [section for section, there in found.items() if there] + [("environment", "Environment")]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "moment": _moment,
        "machine": summary.machine_of, "where": conformance.where, "value": units.observed,
    }  # fmt: skip
    environment.globals |= {"count": units.count, "ratio": units.ratio, "interval": units.interval}
    return environment


def _moment(text: str) -> str:
    """A time for people, in UTC."""
    try:
        return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return text


@dataclass(frozen=True)
class _Swatch:
    """An arm's line and marker, drawn once and referred to by every legend."""

    name: str
    drawing: Markup


def _swatches(report: Report) -> dict[str, _Swatch]:
    labels = [label for r in report.runs for c in r.comparisons for label in c.shown_arms]
    labels += [label for r in report.runs for curve in r.growth for label in curve.points]
    labels += [entry.datapath for r in report.runs for entry in r.exact]
    return {
        label: _swatch(f"key-{number}", look)
        for number, (label, look) in enumerate(looks(labels).items())
    }


def _swatch(name: str, look: Look) -> _Swatch:
    with drawing(14, 34) as figure:
        axes = place(figure, 0, 0, 0, 0)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.axis("off")
        axes.plot((0, 1), (0.5, 0.5), **line(look))
        axes.plot((0.5,), (0.5,), **dots(look))
        return _Swatch(name, finish(figure, name, "", ""))


def _measured(report: Report) -> list[Measured]:
    """Newest run first."""
    found = [each for each in report.digests if each.run.comparisons or each.run.growth][::-1]
    return [
        measured(each, f"run-{number}", drawn=number < DRAWN_RUNS)
        for number, each in enumerate(found)
    ]


def _conformance(report: Report, called: Mapping[str, str]) -> dict[str, object]:
    seen = conformance.seen_by(report.runs)
    of_kernel = {name: [test for run, test in seen if called[run.kernel] == name]
                 for name in reversed(list(called.values()))}  # fmt: skip
    several = len({run.kernel for run, _ in seen}) > 1
    return {
        "by_kernel": conformance.by_kernel(seen, report.titles, called) if several else None,
        "by_datapath": [
            (name, tally.by_datapath(tests, report.titles))
            for name, tests in of_kernel.items()
            if tests
        ],
        "failures": conformance.failures(seen),
        "details": conformance.details(conformance.failures(seen)),
        "asides": conformance.asides(seen),
        "not_asserted": conformance.not_asserted(seen, report),
        "legs": conformance.legs(seen),
        "observed": conformance.observed(seen),
    }
