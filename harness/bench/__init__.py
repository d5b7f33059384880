# SPDX-License-Identifier: Apache-2.0
"""Comparisons of datapaths: arms, interleaved rounds, verdicts, growth, the run."""

import os

# Before numpy is imported, whose BLAS would start threads. Inline round trips are timed in this
# process, and beside a second thread every system call counts references to its file
# (__fget_light(), fs/file.c): 160 ns a round trip, from the moment on at which the first verdict
# imports numpy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from harness.bench.arms import AGAIN, LIMIT, Arm, limit
from harness.bench.budget import Budget
from harness.bench.campaign import Campaign, Watcher
from harness.bench.comparison import Comparison
from harness.bench.growth import AXES, Growth, fit
from harness.bench.growth_runner import Curves
from harness.bench.measures import MEASURES, Measure
from harness.bench.rounds import Plan, take_turns
from harness.bench.series import Task
from harness.bench.session import Run
from harness.bench.summary import Gain, summarise
from harness.bench.verdict import Criteria, Judgement, Verdict, judge, paired_ratios

__all__ = ["AGAIN", "AXES", "LIMIT", "MEASURES", "Arm", "Budget", "Campaign",
           "Comparison", "Criteria", "Curves", "Gain", "Growth", "Judgement", "Measure", "Plan",
           "Run", "Task", "Verdict", "Watcher", "fit", "judge", "limit", "paired_ratios",
           "summarise", "take_turns"]  # fmt: skip
