# SPDX-License-Identifier: Apache-2.0
"""Mutation testing: every operator, constant, condition and statement of bpf/, changed one by one.

The other mutants of this directory are faults that somebody thought of. These are made by rule, and
say what no test would notice. `python -m testbeds.mutants --mechanical`.
"""
