# SPDX-License-Identifier: Apache-2.0
"""`hostroute kernels bench --exact`: instructions, datapath by kernel. Floor 8."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from harness import datapath as datapaths
from harness import record, safe_read
from harness.bpf.pool import unload_idle
from harness.cli.kernels_guests import CLI, exit_code, find_all, print_remarks
from harness.cli.output import show
from harness.datapath import NodeSettings
from harness.errors import UnknownNameError
from harness.kernels import Job, Machine, Result, at_once, check_tools, harness_root
from harness.kernels.accelerator import emulation
from harness.kernels.exact import (
    PROGRAM,
    ROUND_TRIP,
    SIZE,
    VARIABLE,
    Figure,
    check_counting,
    measure,
)
from harness.kernels.result import OUTPUT
from harness.kernels.watch import Limits
from harness.printable import aligned
from testbeds import find

#: Counting instructions makes a guest two or three times slower.
LIMITS = Limits(boot=600, silence=900, whole=7200)
_DATAPATHS = ("legacy", "bpf-redirect", "bpf")
_MOST = 1e15  # instructions
_TITLES = {
    ROUND_TRIP: f"instructions per round trip, UDP {SIZE} B, the four system calls included",
    PROGRAM: f"instructions of from_container on a packet of UDP {SIZE} B",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only this action takes."""
    parser.add_argument("--exact", action="store_true",
                        help="count instructions; needed, as time says nothing here")  # fmt: skip
    parser.add_argument("--datapath", default=",".join(_DATAPATHS), metavar="NAME[,NAME]",
                        help="which (default: %(default)s)")  # fmt: skip
    parser.add_argument("--testbed", default="one_node", metavar="NAME",
                        help="where (default: %(default)s)")  # fmt: skip
    parser.add_argument("--legacy-services", type=int, default=100, metavar="N",
                        help="services' worth of rules (default: %(default)s)")  # fmt: skip
    parser.add_argument("--inside", metavar="FILE", help=argparse.SUPPRESS)


def bench(arguments: argparse.Namespace) -> int:
    """Measure every datapath on every kernel, and print what changed from one to the next."""
    if not arguments.exact:
        raise UnknownNameError(
            "kernels are compared by instructions, not by time",
            "use --exact; for time on one machine: `hostroute kernels run … -- -m bench`",
        )
    names = [datapaths.find(name).name for name in arguments.datapath.split(",")]
    find(arguments.testbed)
    settings = NodeSettings(legacy_services=arguments.legacy_services)
    if arguments.inside:
        return _measure(names, arguments.testbed, settings, Path(arguments.inside))
    check_tools()
    jobs = at_once(arguments.jobs, arguments.memory)
    campaign = find_all(arguments)

    def job(share: Path) -> Job:
        argv = [*CLI, "kernels", "bench", "--exact", "--datapath", ",".join(names),
                "--testbed", arguments.testbed, "--legacy-services",
                str(arguments.legacy_services), "--inside", str(share)]  # fmt: skip
        return Job(argv, harness_root(), {VARIABLE: "1", "PYTHONHASHSEED": "0"})

    # Counting is emulation's: with KVM the processor counts nothing for us.
    machine = Machine(emulation("it counts"), arguments.memory, counting=True)
    campaign.run(job, machine, jobs, LIMITS)
    figures = {result.name: _figures(result) for result in campaign.results}
    show(*_tables(figures))
    print_remarks(campaign.results)
    return exit_code(campaign.results)


def _measure(names: list[str], testbed: str, settings: NodeSettings, directory: Path) -> int:
    """Inside a guest: measure, and leave a record."""
    check_counting()
    document = record.begin(harness_root(), ["hostroute", "kernels", "bench", "--exact"])
    try:
        for name in names:
            for figure in measure(datapaths.find(name), testbed, find(testbed), settings):
                document["exact"].append(asdict(figure))
                show(str(figure))
    finally:
        unload_idle()
    record.write(directory / "results", document)
    (directory / "figures.json").write_text(json.dumps(document["exact"]), encoding="utf-8")
    return 0


def _figures(result: Result) -> list[Figure]:
    if result.directory is None:
        return []
    try:
        said = safe_read.text(result.directory / "figures.json", OUTPUT)
        found = [Figure(**entry) for entry in json.loads(said)]
    except (OSError, ValueError, TypeError, RecursionError):
        return []
    return found if all(map(_is_sound, found)) else []


def _is_sound(figure: Figure) -> bool:
    """Whether a guest's figure is one: it may say anything."""
    texts = (figure.datapath, figure.family, figure.testbed, figure.figure, figure.unit)
    number = type(figure.value) in (int, float) and 0 < figure.value < _MOST
    return number and all(type(text) is str for text in texts)


def _tables(kernels: dict[str, list[Figure]]) -> list[str]:
    """A table for each kind of figure: datapath by kernel, with the change from the one before."""
    lines = []
    for kind, title in _TITLES.items():
        keys = dict.fromkeys(
            (figure.testbed, figure.family, figure.datapath)
            for figures in kernels.values() for figure in figures if figure.figure == kind
        )  # fmt: skip
        if not keys:
            continue
        rows = [["", *kernels]]
        for key in sorted(keys, key=lambda key: (key[0], key[1])):
            values = [_value(figures, kind, key) for figures in kernels.values()]
            rows.append([" ".join(key), *_cells(values)])
        lines += [title, *aligned(rows), ""]
    return lines


def _value(figures: Sequence[Figure], kind: str, key: tuple[str, str, str]) -> float | None:
    for figure in figures:
        if figure.figure == kind and (figure.testbed, figure.family, figure.datapath) == key:
            return figure.value
    return None


def _cells(values: Sequence[float | None]) -> list[str]:
    """`24,650`, and from the second kernel on the change: `24,912 (+1.1 %)`."""
    cells, before = [], None
    for value in values:
        if value is None:
            cells.append(".")
            continue
        change = "" if not before else f" ({100 * (value / before - 1):+.1f} %)"
        cells.append(f"{value:,.0f}{change}")
        before = value
    return cells
