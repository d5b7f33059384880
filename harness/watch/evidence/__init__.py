# SPDX-License-Identifier: Apache-2.0
"""Counters that prove the host stack was, or was not, entered. One file per source."""

from harness.watch.evidence.backlog import BacklogCounter
from harness.watch.evidence.kernel_log import KernelLog
from harness.watch.evidence.netfilter import HOOKS
from harness.watch.evidence.run_counts import Place, Ran, RunCounts
from harness.watch.evidence.session import Evidence, NodeEvidence

__all__ = ["HOOKS", "BacklogCounter", "Evidence", "KernelLog", "NodeEvidence", "Place",
           "Ran", "RunCounts"]  # fmt: skip
