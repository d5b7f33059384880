# SPDX-License-Identifier: Apache-2.0
"""Conformance and benchmark harness for eBPF host routing."""

__version__ = "0.1.0"
