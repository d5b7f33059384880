# SPDX-License-Identifier: Apache-2.0
"""`hostroute kernels bench --exact`: instructions, datapath by kernel."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness import datapath as datapaths
from harness import results
from harness.bpf.pool import unload_idle
from harness.cli.kernels_guests import CLI, exit_code, find_all, print_remarks
from harness.cli.output import show
from harness.datapath import NodeSettings
from harness.kernels import Job, Machine, at_once, check_tools, harness_root
from harness.kernels.accelerator import emulation
from harness.kernels.instructions import (
    PROGRAM,
    ROUND_TRIP,
    SIZE,
    VARIABLE,
    check_counting,
    measure,
)
from harness.kernels.supervisor import Limits
from harness.plumbing.errors import UnknownNameError
from harness.plumbing.printable import aligned
from harness.results import ExactFigure, units
from harness.topology import TESTBEDS

#: Counting instructions makes a guest two or three times slower.
LIMITS = Limits(boot=600, silence=900, whole=7200)
_DATAPATHS = ("legacy", "bpf-redirect", "bpf")
_MOST = 1e15  # instructions
_TITLES = {
    ROUND_TRIP: f"instructions per round trip, UDP {SIZE} B, the four system calls included",
    PROGRAM: f"instructions of the program at the pod's device on a packet of UDP {SIZE} B",
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
    TESTBEDS.find(arguments.testbed)
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
    figures = {result.name: result.found.exact for result in campaign.results}
    show(*_tables(figures))
    print_remarks(campaign.results)
    return exit_code(campaign.results)


def _measure(names: list[str], testbed: str, settings: NodeSettings, directory: Path) -> int:
    """Inside a guest: measure, and leave a record."""
    check_counting()
    draft = results.begin(harness_root(), ["hostroute", "kernels", "bench", "--exact"])
    try:
        for name in names:
            topology = TESTBEDS.find(testbed).topology
            for figure in measure(datapaths.find(name), testbed, topology, settings, show):
                draft.exact.append(figure)
                show(f"{figure.figure} {figure.testbed} {figure.family} {figure.datapath}:"
                     f" {units.shown(figure.value, figure.unit)}")  # fmt: skip
    finally:
        unload_idle()
    results.write(directory / "results", draft.ended())
    return 0


def _tables(kernels: Mapping[str, Sequence[ExactFigure]]) -> list[str]:
    """A table for each kind of figure: datapath by kernel, with the change from the one before."""
    found: dict[str, dict[tuple[str, str, str], dict[str, float]]] = {kind: {} for kind in _TITLES}
    for kernel, figures in kernels.items():
        for figure in figures:
            place: tuple[str, str, str] = (figure.testbed, figure.family, figure.datapath)
            found.setdefault(figure.figure, {}).setdefault(place, {})[kernel] = figure.value
    lines = []
    for kind, places in found.items():
        rows = [["", *kernels]]
        for at in sorted(places, key=lambda place: place[:2]):
            values = [places[at].get(kernel) for kernel in kernels]
            rows.append([" ".join(at), *_cells(values)])
        lines += [_TITLES.get(kind, kind), *aligned(rows), ""] if places else []
    return lines


def _cells(values: Sequence[float | None]) -> list[str]:
    """`24 650`, and from the second kernel on the change: `24 912 (+1.1 %)`."""
    cells, before = [], None
    for value in values:
        if value is None:
            cells.append(".")
            continue
        change = f" ({units.change(value / before)})" if before else ""
        cells.append(units.digits(value) + change)
        before = value
    return cells
