# SPDX-License-Identifier: Apache-2.0
"""Reports: what records say, as a page, as Markdown or as CSV. Pure functions.

A run is reduced by `digest`, which drops its millions of samples; a `Report` holds digests.
Same records, same bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from harness.report.csv import comma_separated
from harness.report.digest import digest
from harness.report.markdown import markdown
from harness.report.model import Digest, Report

__all__ = ["FORMATS", "Digest", "Report", "digest"]


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
