# SPDX-License-Identifier: Apache-2.0
"""Comparisons of datapaths: arms, interleaved rounds, verdicts, records. Floor 7."""

from harness.bench.arms import Arm, BuiltArm
from harness.bench.comparison import Comparison, compare
from harness.bench.measures import MEASURES, Measure
from harness.bench.record import Run, write_record
from harness.bench.rounds import Plan, collect
from harness.bench.verdict import Criteria, Judgement, Verdict, judge, paired_ratios

__all__ = ["MEASURES", "Arm", "BuiltArm", "Comparison", "Criteria", "Judgement", "Measure", "Plan",
           "Run", "Verdict", "collect", "compare", "judge", "paired_ratios",
           "write_record"]  # fmt: skip
