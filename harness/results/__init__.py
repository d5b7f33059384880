# SPDX-License-Identifier: Apache-2.0
"""Records: what a run leaves, its schema, writer and reader, and what two of them say.

A record is a plain document, as JSON has it; `record-2.schema.json` beside this says what is in it.
"""

from harness.results.provenance import ACCELERATOR_VARIABLE
from harness.results.reader import files, find, read, read_all, readable
from harness.results.schema import COLLECTION, FORMAT, VERSION, Document
from harness.results.writer import BATCH, begin, merge, write

__all__ = ["ACCELERATOR_VARIABLE", "BATCH",
           "COLLECTION", "FORMAT", "VERSION", "Document", "begin", "files", "find",
           "merge", "read", "read_all", "readable", "write"]  # fmt: skip
