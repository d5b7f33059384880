# SPDX-License-Identifier: Apache-2.0
"""Counters that prove the host stack was, or was not, entered. Floor 5; one file per source."""

from harness.evidence.backlog import BacklogCounter
from harness.evidence.kernel_log import KernelLog
from harness.evidence.netfilter import HOOKS
from harness.evidence.session import Evidence, NodeEvidence

__all__ = ["HOOKS", "BacklogCounter", "Evidence", "KernelLog", "NodeEvidence"]
