# SPDX-License-Identifier: Apache-2.0
"""What `hostroute results show` says of a record."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping

from harness.datapath import DATAPATHS
from harness.datapath.catalogue import CATALOGUE
from harness.plumbing.printable import aligned, lines
from harness.results import tally, units
from harness.results.assertion import NOT_CLAIMED, Assertion, TestOutcome
from harness.results.comparison import Comparison
from harness.results.growth import Growth
from harness.results.run import Run
from harness.results.unclaimed import by_claim


def environment_line(run: Run) -> str:
    """Kernel and machine, a line."""
    machine = run.machine
    where = {"": "virtualised" if machine.virtualised else "bare metal"}
    kind = where.get(machine.accelerator, f"in a {machine.accelerator} guest")
    cpus = f"{machine.cpus or 'unknown number of'} CPUs"
    return f"kernel {machine.kernel}, {cpus} {machine.cpu_model or 'of unknown model'}, {kind}"


def verdict_counts(run: Run) -> str:
    """How often which verdict, of datapaths against the baseline."""
    counts = Counter(
        f"{verdict.arm} {verdict.conclusion}"
        for entry in run.comparisons
        for verdict in entry.judged
        if not entry.partial
    )
    return ", ".join(f"{word} {count}" for word, count in sorted(counts.items()))


def show_lines(run: Run) -> Iterator[str]:
    """The whole page, as the record has it: `output.show` makes its texts harmless."""
    yield from _environment(run)
    if run.comparisons:
        yield from ("", "measured", *aligned(list(_verdicts(run))))
        for entry in run.comparisons:
            yield from _doubts(entry)
    for gain in run.summary:
        how = units.estimate(gain.gain, gain.low, gain.high)
        yield (
            f"geometric mean over {gain.measures} measures, {gain.testbed}:"
            f" {gain.arm} {how} times as fast as {gain.against}"
        )
    if run.growth:
        yield from ("", "growth", *aligned(list(_growth(run))))
        for curve in run.growth:
            if curve.partial:
                yield f"partial: {_name(curve)} over {curve.over}: {curve.partial}"
            yield from (f"{_name(curve)} over {curve.over} {line}" for line in curve.without)
    if run.exact:
        yield from ("", "counted", *aligned(list(_exact(run))))
    yield from _conformance(run)


def _conformance(run: Run) -> Iterator[str]:
    if run.conformance:
        found = tally.by_datapath(run.conformance, CATALOGUE, DATAPATHS)
        titles = {identity: entry.title for identity, entry in CATALOGUE.items()}
        yield from ("", "conformance", *aligned(found.lines(titles)))
    if run.others:
        yield f"other tests: {tally.Tally(run.others)}"
    for group in by_claim(run.tests):
        yield f"{NOT_CLAIMED}: {group}: {units.count(len(group.tests), 'test')}"
    for test in run.tests:
        if not test.passed and test.outcome != NOT_CLAIMED:
            yield f"{test.outcome}: {test.test}: {test.reason}"
            yield from _failure(test)
        if test.reruns:
            yield f"{units.count(test.reruns, 'rerun')}: {test.test}: {test.outcome} in the end"


def _failure(test: TestOutcome) -> Iterator[str]:
    """The legs expected and seen, and where the pcaps are."""
    if not isinstance(test, Assertion):
        return
    if test.wrong_legs:
        yield from (f"  {line}" for line in lines(test.wrong_legs.side_by_side))
        if test.wrong_legs.delivery:
            yield f"  {test.wrong_legs.delivery}"
    yield from (f"  pcaps: {path}" for path in test.pcaps)


def _environment(run: Run) -> Iterator[str]:
    machine, git = run.machine, run.git
    changed = {True: ", with changes", False: "", None: ""}[git.dirty]
    yield run.id
    if run.partial:
        yield f"PARTIAL    {run.partial}"
    yield f"started    {run.started}, ended {run.ended}"
    yield f"command    {shlex.join(run.command)}"
    yield f"machine    {environment_line(run)}"
    yield f"kernel     {machine.kernel_version}"
    yield f"CPUs       {' '.join(map(str, machine.cpus_allowed))} allowed, governor" \
          f" {machine.governor or 'not known'}"  # fmt: skip
    yield f"sysctls    {_pairs(machine.sysctls)}"
    yield f"software   hostroute {run.harness} at {git.commit or 'no commit'}{changed}," \
          f" Python {machine.python}, {_pairs(machine.packages, ' ')}"  # fmt: skip
    names = dict.fromkeys(
        f"{entry.testbed} {node}: {name}"
        for entry in run.comparisons or run.growth
        for arm in entry.arms.values()
        for node, name in arm.nodes.items()
    )
    yield from (f"arm        {name}" for name in names)


def _pairs(texts: Mapping[str, str], joint: str = "=") -> str:
    return ", ".join(f"{key}{joint}{value}" for key, value in texts.items()) or "-"


def _verdicts(run: Run) -> Iterator[list[str]]:
    yield ["measure", "testbed", "family", "arm", "typical", "against", "ratio", "verdict", "noise",
           "builds"]  # fmt: skip
    for entry in run.comparisons:
        for label, arm in entry.arms.items():
            row = [entry.name, entry.testbed, entry.family, label,
                   units.shown(arm.typical, entry.unit)]  # fmt: skip
            found = entry.verdict_of(label)
            if found is None:
                yield [*row, "-", "-", "-", "-", str(len(arm.values))]
                continue
            yield [*row, found.against, units.estimate(found.ratio, found.low, found.high),
                   entry.conclusion(found), units.noise(found.noise),
                   str(found.builds)]  # fmt: skip


def _doubts(entry: Comparison) -> Iterator[str]:
    """What weakens the verdicts."""
    if entry.partial:
        yield f"partial: {_name(entry)}: {entry.partial}"
    yield from (f"{_name(entry)} {line}" for line in entry.without)
    for verdict in entry.verdicts:
        for warning in verdict.warnings:
            yield f"warning: {_name(entry)}: {verdict.arm}: {warning}"


def _growth(run: Run) -> Iterator[list[str]]:
    yield ["measure", "testbed", "family", "arm", "growth", "for each one, with its interval"]
    for curve in run.growth:
        for label in curve.points:
            fit = curve.fits.get(label)
            row = [curve.name, curve.testbed, curve.family, label, curve.word(label)]
            if fit is None:
                yield [*row, "-"]
                continue
            slope = units.estimate(fit.slope, fit.low, fit.high, curve.unit)
            yield [*row, f"{slope} for each {curve.one}"]


def _name(entry: Comparison | Growth) -> str:
    """Of a comparison or a curve: what, and where."""
    return f"{entry.name} {entry.place}"


def _exact(run: Run) -> Iterator[list[str]]:
    yield ["figure", "testbed", "family", "datapath", "counted"]
    for entry in run.exact:
        yield [entry.figure, entry.testbed, entry.family, entry.datapath,
               units.shown(entry.value, entry.unit)]  # fmt: skip
