# SPDX-License-Identifier: Apache-2.0
"""The published JSON Schemas: what a record of version 2 is, for whoever reads one without us.

The harness reads and writes by the types in `harness.results.run`; a test compares both.
"""

from __future__ import annotations

import json
from importlib import resources

from harness.results.part import Facts
from harness.results.run import COLLECTION, FORMAT

_SCHEMAS = {FORMAT: "record-2.schema.json", COLLECTION: "records-2.schema.json"}


def load(name: str) -> Facts:
    """A published schema, by the format it describes."""
    text = (resources.files("harness.results") / _SCHEMAS[name]).read_text(encoding="utf-8")
    return dict(json.loads(text))
