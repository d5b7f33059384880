# SPDX-License-Identifier: Apache-2.0
"""The report in sentences: the headline, and what a reader must know before any number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.report import conformance
from harness.report.kernels import kernels_of
from harness.report.model import Report
from harness.results import units
from harness.results.comparability import POD_DEVICE, differences, without_tags
from harness.results.comparison import (
    ALL,
    FASTER,
    NO_DIFFERENCE,
    PARTIAL,
    SLOWER,
    Comparison,
    Gain,
)
from harness.results.run import Run
from harness.results.tally import Tally


@dataclass(frozen=True)
class Glance:
    """A kernel in one line: what became of its tests, and of each arm in words."""

    kernel: str
    asserted: Tally
    measured: tuple[str, ...]


@dataclass(frozen=True)
class Headline:
    """A sentence of the headline; `mood` is good, bad, mixed or plain."""

    text: str
    mood: str


def title(report: Report) -> str:
    """What was compared or asserted, as the page's heading."""
    pairs = list(dict.fromkeys(pair for run in report.runs for pair in _pairs(run.comparisons)))
    kernels = kernels_of(report.runs)
    on = f" on {len(kernels)} kernels" if len(kernels) > 1 else ""
    if not pairs:
        return f"eBPF host routing: conformance{on}"
    arms = " and ".join(dict.fromkeys(arm for arm, _ in pairs))
    return f"eBPF host routing: {arms} against {pairs[0][1]}{on}"


def _pairs(comparisons: Iterable[Comparison]) -> list[tuple[str, str]]:
    """(arm, baseline), each once, the limit left out."""
    found = [(v.arm, v.against) for c in comparisons for v in c.judged]
    return list(dict.fromkeys(found))


def headline(report: Report) -> list[Headline]:
    """Measured first, a sentence an arm; then asserted."""
    kernels = kernels_of(report.runs)
    found = []
    comparisons = [entry for run in report.runs for entry in run.comparisons]
    on = f" on {len(kernels)} kernels" if len(kernels) > 1 else ""
    for pair in _pairs(comparisons):
        # A mean is one run's: several runs have no mean together.
        gains = [each for each in report.runs[0].summary if (each.arm, each.against) == pair]
        gain = _gain(gains) if len(report.runs) == 1 else ""
        found.append(_measured(on, pair, comparisons, gain))
    return [*found, *_asserted(report, on)]


def glance(report: Report) -> tuple[list[str], list[Glance]]:
    """With several kernels, the arms and a line for each kernel; else nothing."""
    kernels = kernels_of(report.runs)
    pairs = _pairs(entry for run in report.runs for entry in run.comparisons)
    lines = []
    for kernel in kernels if len(kernels) > 1 else []:
        runs = [run for run in report.runs if run.kernel == kernel]
        cell = Tally(test for run in runs for test in run.conformance)
        comparisons = [entry for run in runs for entry in run.comparisons]
        lines.append(Glance(kernel, cell, tuple(_won(pair, comparisons) for pair in pairs)))
    return [arm for arm, _ in pairs], lines


def _won(pair: tuple[str, str], comparisons: Iterable[Comparison]) -> str:
    words = _verdicts(pair, comparisons)
    if not words:
        return "not measured"
    slower = f", slower in {words.count(SLOWER)}" if SLOWER in words else ""
    partial = f", {words.count(PARTIAL)} partial" if PARTIAL in words else ""
    ended = len(words) - words.count(PARTIAL)
    return f"faster in {words.count(FASTER)} of {ended}{slower}{partial}"


def _verdicts(pair: tuple[str, str], comparisons: Iterable[Comparison]) -> list[str]:
    """The verdicts on an arm; what broke off before there was any is partial too."""
    words: list[str] = []
    for entry in comparisons:
        found = [entry.conclusion(v) for v in entry.verdicts if (v.arm, v.against) == pair]
        lost = entry.partial and entry.baseline == pair[1] and not found
        words += [PARTIAL] if lost else found
    return words


def _gain(gains: Sequence[Gain]) -> str:
    """The speed-up over all testbeds, or over the only one."""
    whole = [each for each in gains if each.testbed == ALL or len(gains) == 1]
    if not whole or whole[0].gain is None:
        return ""
    found = whole[0]
    return (
        f" Speed-up, geometric mean of {units.count(found.measures, 'comparison')}:"
        f" {units.estimate(found.gain, found.low, found.high)}."
    )


def _measured(
    on: str, pair: tuple[str, str], comparisons: Sequence[Comparison], gain: str
) -> Headline:
    arm, against = pair
    verdicts = Counter(_verdicts(pair, comparisons))
    total = verdicts.total() - verdicts[PARTIAL]
    rest = [f"slower in {verdicts[SLOWER]}"] if verdicts[SLOWER] else []
    if verdicts[NO_DIFFERENCE]:
        rest.append(f"no difference found in {verdicts[NO_DIFFERENCE]}")
    if verdicts[PARTIAL]:
        rest.append(f"{verdicts[PARTIAL]} more partial")
    text = (
        f"{arm} is faster than {against} in {verdicts[FASTER]} of"
        f" {units.count(total, 'comparison')}{on}{'; ' if rest else ''}{', '.join(rest)}.{gain}"
    )
    if verdicts[SLOWER]:
        return Headline(text, "bad")
    return Headline(text, "good" if verdicts[FASTER] == verdicts.total() else "mixed")


def _asserted(report: Report, on: str) -> list[Headline]:
    seen = conformance.seen_by(report.runs)
    if not seen:
        return []
    total = Tally(test for _, test in seen)
    ids = len({test.id for _, test in seen if test.ran})
    tests = f"{units.count(total.ran, 'test')} of {units.count(ids, 'assertion')}{on}"
    tail = f" ({', '.join(total.asides)})" if total.asides else ""
    if total.failed:
        failing = dict.fromkeys(f.id for f in conformance.failures(seen))
        text = f"Conformance: {total.failed} of {tests} failed: {', '.join(failing)}{tail}."
        return [Headline(text, "bad")]
    if not total.ran:
        return [Headline(f"Conformance: no test ran{on}{tail}.", "mixed")]
    return [Headline(f"Conformance: all {tests} passed{tail}.", "good")]


def notices(report: Report) -> list[str]:
    """What weakens what follows, in the order of its weight."""
    runs = report.runs
    found = [f"Not read: {reason}" for reason in report.unread]
    for run in runs:
        name = "This run" if len(runs) == 1 else run.id
        found += [f"{name} is partial: {run.partial}"] if run.partial else []
        place = "" if len(runs) == 1 else f"{run.id}: "
        found += [
            f"{place}{entry.name} on {entry.testbed}, {entry.family} is partial: {entry.partial}"
            for entry in run.comparisons
            if entry.partial
        ]
    found += _unlike(runs)
    emulated = [r.id for r in runs if r.comparisons and r.machine.accelerator == "emulation"]
    if emulated:
        of = f": {_some(emulated)}" if len(runs) > 1 else ""
        found.append(f"Times under emulation say nothing about real hardware{of}")
    dirty = [run.id for run in runs if run.git.dirty]
    if dirty:
        of = f": {_some(dirty)}" if len(runs) > 1 else ""
        found.append(f"The checkout had uncommitted changes{of}")
    again = conformance.rerun(conformance.seen_by(runs))
    if again:
        ids = dict.fromkeys(test.id for _, test in again)
        found.append(
            f"{units.count(len(again), 'test')} came to the outcome only when run again:"
            f" {_some(list(ids))}"
        )
    return found


def _unlike(runs: Sequence[Run]) -> list[str]:
    found = []
    unlike = {
        each.fact: None
        for run in runs[1:]
        for each in differences(runs[0], run)
        if each.kind == "machine"
    }
    if unlike:
        models = dict.fromkeys(machine_of(run) for run in runs)
        found.append(
            f"These runs are of unlike machines ({'; '.join(models)}; they differ in"
            f" {', '.join(unlike)}): times of different runs cannot be compared"
        )
    found += dict.fromkeys(
        f"Pods hung on unlike devices ({each.old} and {each.new}): what tests saw depends on it"
        for run in runs[1:]
        for each in differences(runs[0], run)
        if each.fact.startswith(POD_DEVICE)
    )
    unknown = [run.id for run in runs if not run.machine.machine_id_hash]
    if unknown and len(runs) > 1:
        found.append(f"Which machine it was is not known of {_some(unknown)}")
    versions = dict.fromkeys(run.harness for run in runs)
    if len(versions) > 1:
        found.append(f"They were made by different versions of hostroute: {', '.join(versions)}")
    counted = {run.source: (run.git.commit or "unknown")[:12] for run in runs if run.exact}
    if len(counted) > 1:
        found.append(
            "Instructions were counted of different checkouts"
            f" ({_some(list(dict.fromkeys(counted.values())))}): no step between them is marked"
        )
    if any(len(built) > 1 for built in _baselines(runs).values()):
        found.append("The baseline's rules are not the same in all runs: see the arms' whole names")
    return found


def _baselines(runs: Sequence[Run]) -> dict[str, set[frozenset[str]]]:
    """Baseline → what each run had on its nodes: rules by their digests, but no program's tag."""
    found: dict[str, set[frozenset[str]]] = {}
    for run in runs:
        built: dict[str, set[str]] = {}
        for each in run.comparisons:
            if each.baseline in each.arms:
                nodes = without_tags(each.arms[each.baseline].nodes)
                built.setdefault(each.baseline, set()).update(nodes.values())
        for label, names in built.items():
            found.setdefault(label, set()).add(frozenset(names))
    return found


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def machine_of(run: Run) -> str:
    """The machine in a few words."""
    machine = run.machine
    model = machine.cpu_model or machine.architecture or "unknown CPU"
    words = [model, units.count(machine.cpus, "CPU") if machine.cpus is not None else ""]
    if machine.accelerator == "emulation":
        words.append("emulated")
    elif machine.accelerator:
        words.append(f"guest under {machine.accelerator}")
    elif machine.virtualised:
        words.append("virtual machine")
    return ", ".join(filter(None, words))
