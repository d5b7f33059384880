# SPDX-License-Identifier: Apache-2.0
"""From kernel to kernel: which there are, what behaves otherwise, what may be compared.

Figures of different kernels are set side by side only if they count instructions (exact mode), or
were measured on one machine by one command. Anything else would compare machines, not kernels.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.report.conformance import Seen
from harness.results.assertion import PASSED
from harness.results.comparability import differences
from harness.results.run import Run
from harness.results.units import natural, observed


@dataclass(frozen=True)
class Unlike:
    """An observation that is not the same on all kernels.

    Attributes:
        values: One for each kernel; empty: not observed there.
        tests: Those that observed it.
        all_pass: Whether all of them passed.
    """

    id: str
    name: str
    values: tuple[str, ...]
    tests: tuple[Seen, ...]
    all_pass: bool


def kernels_of(runs: Iterable[Run]) -> list[str]:
    """Every kernel once, oldest version first."""
    return sorted({run.kernel for run in runs}, key=natural)


def short(kernels: Sequence[str]) -> dict[str, str]:
    """Kernel → the shortest beginning of its version that tells them all apart."""
    for parts in (1, 2):
        pattern = re.compile(rf"\d+(\.\d+){{{parts}}}")
        names = [found[0] if (found := pattern.match(kernel)) else kernel for kernel in kernels]
        if len(set(names)) == len(kernels):
            return dict(zip(kernels, names, strict=True))
    return {kernel: kernel for kernel in kernels}


def observations(seen: Sequence[Seen], kernels: Sequence[str]) -> list[Unlike]:
    """What tests observed and do not judge, where it is not the same on every kernel."""
    values: dict[tuple[str, ...], dict[str, dict[str, None]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    tests: dict[tuple[str, ...], list[Seen]] = defaultdict(list)
    for run, test in seen:
        for name, value in test.observed.items():
            key = (test.id, name, test.test)
            values[key][run.kernel][observed(value)] = None
            tests[key].append((run, test))
    groups: dict[tuple[str, str, tuple[str, ...]], list[Seen]] = defaultdict(list)
    for observation, found in values.items():
        row = tuple(" or ".join(found.get(kernel, {})) for kernel in kernels)
        if len(set(filter(None, row))) > 1:
            groups[observation[0], observation[1], row] += tests[observation]
    return [
        Unlike(identity, name, row, tuple(group), all(t.kind == PASSED for _, t in group))
        for (identity, name, row), group in sorted(groups.items())
    ]


def refusal(runs: Iterable[Run]) -> str:
    """Why times of these runs must not be compared over kernels; empty: they may be."""
    measured = [run for run in runs if run.comparisons]
    if not all(run.machine.machine_id_hash for run in measured):
        return "a record does not say which machine it is of"
    unlike = [
        each
        for run in measured[1:]
        for each in differences(measured[0], run)
        if each.kind in ("machine", "rules")
    ]
    if unlike:
        return f"they were measured with unlike machines or rules ({unlike[0]})"
    if len({run.batch for run in measured}) > 1 or not all(run.batch for run in measured):
        return "they were not measured by one command, one kernel after the other"
    return ""
