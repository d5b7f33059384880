# SPDX-License-Identifier: Apache-2.0
"""Compile, load, test-run and read BPF programs."""
