# SPDX-License-Identifier: Apache-2.0
"""Cannot tell is not failed: tests of what was measured that end without an answer.

Such a test is `inconclusive`, an outcome of its own. It fails only where `--require` asks for an
answer. What would settle it stands at the end of the run, once for all that it would settle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import pytest

from harness.plugin.options import option
from harness.plumbing.printable import one_line
from harness.results import Comparison, Growth, units
from harness.results.answer import Answer
from harness.results.formulas import INCONCLUSIVE, REFUTED

Conclude = Callable[[Sequence[Answer]], None]
#: The property of what there was no time for: the tables of what was measured name it already.
_GIVEN_UP = "given up"
_NO_TIME = "too little time for what is partial: allow more (--bench-budget) or measure less (-k)"
_WORD, _LETTER = INCONCLUSIVE.upper(), "i"


def conclude(item: pytest.Item, found: Sequence[Answer]) -> None:
    """End a test by the answers of comparisons: pass, fail, or neither."""
    refuted = [str(each) for each in found if each.outcome == REFUTED]
    if refuted:
        pytest.fail("\n".join(refuted), pytrace=False)
    open_ = [each for each in found if each.outcome == INCONCLUSIVE]
    if open_:
        _end(item, "\n".join(map(str, open_)))


def unless_given_up(item: pytest.Item, found: Comparison | Growth) -> None:
    """End a test that rests on what there was no time to measure."""
    if found.given_up:
        over = f" over {found.over}" if isinstance(found, Growth) else ""
        item.user_properties.append((_GIVEN_UP, True))
        _end(item, f"{found.measure} {found.place}{over}: {found.partial}")


def _end(item: pytest.Item, why: str) -> NoReturn:
    if option(item.config, "require"):
        pytest.fail(f"{INCONCLUSIVE}, and --hr-require asks for an answer: {why}", pytrace=False)
    item.user_properties.append((INCONCLUSIVE, why))
    raise pytest.skip.Exception(f"{INCONCLUSIVE}: {why}", _use_item_location=True)


def is_inconclusive(report: pytest.CollectReport | pytest.TestReport) -> bool:
    """Whether a report is of a test that ended so."""
    return report.skipped and INCONCLUSIVE in dict(getattr(report, "user_properties", ()))


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(
    report: pytest.CollectReport | pytest.TestReport,
) -> tuple[str, str, tuple[str, Mapping[str, bool]]] | None:
    """A letter, a word and a count of its own."""
    if is_inconclusive(report):
        return INCONCLUSIVE, _LETTER, (_WORD, {"yellow": True})
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line for each thing that could not be told, and how many tests rest on it."""
    groups: dict[str, int] = {}
    for report in terminalreporter.stats.get(INCONCLUSIVE, []):
        told = dict(report.user_properties)
        text = _NO_TIME if _GIVEN_UP in told else str(told[INCONCLUSIVE])
        for line in text.splitlines():
            groups[line] = groups.get(line, 0) + 1
    if groups:
        terminalreporter.section("host routing: inconclusive")
    for line, number in groups.items():
        terminalreporter.write_line(one_line(f"{line} ({units.count(number, 'test')})"))
