# SPDX-License-Identifier: Apache-2.0
"""Records: what a run leaves, its schema, writer and reader, and what two of them say. Floor 6.

A record is a plain document, as JSON has it; `record-2.schema.json` beside this says what is in it.
"""

from harness.record.environment import ACCELERATOR_VARIABLE
from harness.record.reader import files, find, read, read_all, readable
from harness.record.schema import COLLECTION, FORMAT, VERSION, Document
from harness.record.writer import BATCH, begin, merge, write

__all__ = ["ACCELERATOR_VARIABLE", "BATCH",
           "COLLECTION", "FORMAT", "VERSION", "Document", "begin", "files", "find",
           "merge", "read", "read_all", "readable", "write"]  # fmt: skip
