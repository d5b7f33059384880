# SPDX-License-Identifier: Apache-2.0
"""The one typed model of a run: written by plugin and bench, read by whoever shows or judges it.

`run.Run` is a record. `record-2.schema.json` beside this publishes the same for others.
"""

from harness.results.assertion import Assertion, Observed, TestOutcome
from harness.results.comparison import Arm, Comparison, Gain, Verdict
from harness.results.growth import Fit, Growth, Point
from harness.results.implementation import Implementation
from harness.results.provenance import ACCELERATOR_VARIABLE
from harness.results.reader import files, find, read, read_all, readable
from harness.results.run import COLLECTION, FORMAT, VERSION, ExactFigure, MachineFacts, Run
from harness.results.writer import BATCH, Draft, begin, merge, write

__all__ = ["ACCELERATOR_VARIABLE", "BATCH", "COLLECTION", "FORMAT", "VERSION", "Arm", "Assertion",
           "Comparison", "Draft", "ExactFigure", "Fit", "Gain", "Growth", "Implementation",
           "MachineFacts",
           "Observed", "Point", "Run", "TestOutcome", "Verdict", "begin", "files", "find", "merge",
           "read", "read_all", "readable", "write"]  # fmt: skip
