# SPDX-License-Identifier: Apache-2.0
"""Mechanical mutants that survive rightly, each with the reason.

A site is named by its file, its line's text and the change: `Site.key`. tests/unit/test_mechanical
asks that each is still there.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Nothing visible changes: key → why.
EQUIVALENT: Mapping[str, str] = {}
#: Rows of the full datapath, which is the next issue: key → what would show it.
NEXT_ISSUE: Mapping[str, str] = {}
EXCUSED: Mapping[str, str] = {**EQUIVALENT, **NEXT_ISSUE}
