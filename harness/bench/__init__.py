# SPDX-License-Identifier: Apache-2.0
"""Comparisons of datapaths: arms, interleaved rounds, verdicts, growth, the run."""

import os

# Before numpy is imported, whose BLAS would start threads. Inline round trips are timed in this
# process, and beside a second thread every system call counts references to its file
# (__fget_light(), fs/file.c): 160 ns a round trip, from the moment on at which the first verdict
# imports numpy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from harness.bench.arms import Arm, bypass_against_stack, limit
from harness.bench.budget import Budget
from harness.bench.campaign import Campaign, Watcher
from harness.bench.growth import AXES, Curve, fit
from harness.bench.growth_runner import Curves
from harness.bench.measures import MEASURES, Measure
from harness.bench.rounds import Plan, take_turns
from harness.bench.series import Task
from harness.bench.session import Session
from harness.bench.summary import summarise
from harness.bench.verdict import Criteria, Judgement, judge

__all__ = ["AXES", "MEASURES", "Arm", "Budget", "Campaign", "Criteria", "Curve",
           "Curves", "Judgement", "Measure", "Plan", "Session", "Task", "Watcher",
           "bypass_against_stack", "fit", "judge",
           "limit", "summarise", "take_turns"]  # fmt: skip
