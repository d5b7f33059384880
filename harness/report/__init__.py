# SPDX-License-Identifier: Apache-2.0
"""Reports: what records say, as a page, as Markdown or as CSV. Pure functions.

A record becomes a `Run` by `digest`, which drops its millions of samples; a `Report` holds runs.
Same records, same bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from harness.report.csv import comma_separated
from harness.report.from_record import digest
from harness.report.markdown import markdown
from harness.report.model import Report, Run

__all__ = ["FORMATS", "Report", "Run", "digest"]


def _html(report: Report) -> str:
    # Where it finds no place for its cache it uses another, and need not say so.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from harness.report.page import html  # matplotlib and Jinja2 take half a second

    return html(report)


#: Name on the command line, and suffix of a file → what makes the text.
FORMATS: dict[str, Callable[[Report], str]] = {
    "html": _html,
    "md": markdown,
    "csv": comma_separated,
}
