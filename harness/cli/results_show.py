# SPDX-License-Identifier: Apache-2.0
"""What `hostroute results show` says of a record."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from statistics import median

from harness.cli.figures import interval, shown
from harness.datapath import DATAPATHS
from harness.plumbing.printable import aligned
from harness.results import Document
from harness.results.index import matrix
from testbeds.catalogue import CATALOGUE


def environment_line(record: Document) -> str:
    """Kernel and machine, a line."""
    machine = record["machine"]
    where = {"": "virtualised" if machine["virtualised"] else "bare metal"}
    kind = where.get(machine["accelerator"], f"in a {machine['accelerator']} guest")
    cpus = f"{machine['cpus'] or 'unknown number of'} CPUs"
    return (
        f"kernel {machine['kernel']}, {cpus} {machine['cpu_model'] or 'of unknown model'}, {kind}"
    )


def verdict_counts(record: Document) -> str:
    """How often which verdict, of datapaths against the baseline."""
    counts = Counter(
        f"{verdict['arm']} {verdict['verdict']}"
        for entry in record["comparisons"]
        for verdict in entry["verdicts"]
        if not entry["partial"]
        and entry["arms"][verdict["arm"]]["datapath"]
        and not entry["arms"][verdict["arm"]]["again"]
    )
    return ", ".join(f"{word} {count}" for word, count in sorted(counts.items()))


def show_lines(record: Document) -> Iterator[str]:
    """The whole page, as the record has it: `output.show` makes its texts harmless."""
    yield from _environment(record)
    if record["comparisons"]:
        yield from ("", "measured", *aligned(list(_verdicts(record))))
        yield from _doubts(record)
    for gain in record["summary"]:
        how = interval(gain["gain"], gain["low"], gain["high"])
        yield (
            f"geometric mean over {gain['measures']} measures, {gain['testbed']}:"
            f" {gain['arm']} {how} times as fast as {gain['against']}"
        )
    if record["growth"]:
        yield from ("", "growth", *aligned(list(_growth(record))))
        for entry in record["growth"]:
            if entry["partial"]:
                yield f"partial: {_name(entry)} over {entry['over']}: {entry['partial']}"
    if record["exact"]:
        yield from ("", "counted", *aligned(list(_exact(record))))
    if record["conformance"]:
        yield from ("", "conformance", *aligned(list(_conformance(record))))
        for entry in record["conformance"]:
            if entry["outcome"] != "passed":
                yield f"{entry['outcome']}: {entry['test']}: {entry['reason']}"


def _environment(record: Document) -> Iterator[str]:
    machine, git = record["machine"], record["git"]
    changed = {True: ", with changes", False: "", None: ""}[git["dirty"]]
    yield record["id"]
    if record["partial"]:
        yield f"PARTIAL    {record['partial']}"
    yield f"started    {record['started']}, ended {record['ended']}"
    yield f"command    {shlex.join(record['command'])}"
    yield f"machine    {environment_line(record)}"
    yield f"kernel     {machine['kernel_version']}"
    yield f"CPUs       {' '.join(map(str, machine['cpus_allowed']))} allowed, governor" \
          f" {machine['governor'] or 'not known'}"  # fmt: skip
    yield f"sysctls    {_pairs(machine['sysctls'])}"
    yield f"software   hostroute {record['harness']} at {git['commit'] or 'no commit'}{changed}," \
          f" Python {machine['python']}, {_pairs(machine['packages'], ' ')}"  # fmt: skip
    names = dict.fromkeys(
        f"{entry['testbed']} {node}: {name}"
        for entry in record["comparisons"] or record["growth"]
        for arm in entry.get("arms", {}).values()
        for node, name in arm["nodes"].items()
    )
    yield from (f"arm        {name}" for name in names)


def _pairs(texts: dict[str, str], joint: str = "=") -> str:
    return ", ".join(f"{key}{joint}{value}" for key, value in texts.items()) or "-"


def _verdicts(record: Document) -> Iterator[list[str]]:
    yield ["measure", "testbed", "family", "arm", "typical", "against", "ratio", "verdict", "noise",
           "builds"]  # fmt: skip
    for entry in record["comparisons"]:
        verdicts = {verdict["arm"]: verdict for verdict in entry["verdicts"]}
        for label, arm in entry["arms"].items():
            values = [value for build in arm["values"] for value in build]
            typical = shown(median(values), entry["unit"]) if values else "-"
            row = [f"{entry['title']} {entry['described']}", entry["testbed"], entry["family"],
                   label, typical]  # fmt: skip
            found = verdicts.get(label)
            if found is None:
                yield [*row, "-", "-", "-", "-", str(len(arm["values"]))]
                continue
            noise = "-" if found["noise"] is None else f"±{found['noise']:.1%}"
            word = "partial" if entry["partial"] else found["verdict"]
            yield [*row, found["against"], interval(found["ratio"], found["low"], found["high"]),
                   word, noise, str(found["builds"])]  # fmt: skip


def _doubts(record: Document) -> Iterator[str]:
    """What weakens the verdicts."""
    for entry in record["comparisons"]:
        name = _name(entry)
        if entry["partial"]:
            yield f"partial: {name}: {entry['partial']}"
        for verdict in entry["verdicts"]:
            for warning in verdict["warnings"]:
                yield f"warning: {name}: {verdict['arm']}: {warning}"


def _growth(record: Document) -> Iterator[list[str]]:
    yield ["measure", "testbed", "family", "arm", "growth", "slope, with its interval"]
    for entry in record["growth"]:
        for label in entry["points"]:
            fit = entry["fits"].get(label)
            name = f"{entry['title']} {entry['described']}"
            row = [name, entry["testbed"], entry["family"], label]
            word = "partial" if entry["partial"] else fit["model"] if fit else "too few builds"
            if fit is None:
                yield [*row, word, "-"]
                continue
            ends = ["-" if fit[end] is None else f"{fit[end]:.3g}"
                    for end in ("slope", "low", "high")]  # fmt: skip
            slope = "{} [{}, {}] {} for each of the {}".format(*ends, entry["unit"], entry["over"])
            yield [*row, word, slope]


def _name(entry: Document) -> str:
    """Of a comparison or a curve: what, where, over what."""
    return f"{entry['title']} {entry['described']} {entry['testbed']} {entry['family']}"


def _exact(record: Document) -> Iterator[list[str]]:
    yield ["figure", "testbed", "family", "datapath", "counted"]
    for entry in record["exact"]:
        yield [entry["figure"], entry["testbed"], entry["family"], entry["datapath"],
               shown(entry["value"], entry["unit"])]  # fmt: skip


_WORDS = {"passed": "ok", "failed": "FAILED", "skipped": "skipped", "error": "ERROR"}


def _conformance(record: Document) -> Iterator[list[str]]:
    found = matrix(record)
    seen = dict.fromkeys(name for cells in found.values() for name in cells)
    columns = sorted(seen, key=lambda name: [*DATAPATHS, name].index(name))  # others at the end
    yield ["id", "asserts", *(name or "any" for name in columns)]
    for identity, cells in found.items():
        entry = CATALOGUE.get(identity)
        texts = (
            " ".join(f"{count} {_WORDS[word]}" for word, count in sorted(cells[name].items()))
            if name in cells
            else "."
            for name in columns
        )
        yield [identity, entry.title if entry else "", *texts]
