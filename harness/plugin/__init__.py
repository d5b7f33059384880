# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin: options, fixtures, reports.

A project with datapaths of its own loads it with `pytest_plugins = ["harness.plugin"]`.
"""

pytest_plugins = [
    "harness.plugin.options",
    "harness.plugin.termination",
    "harness.plugin.prerequisites",
    "harness.plugin.parameters",
    "harness.plugin.brief",
    "harness.plugin.fixtures",
    "harness.plugin.failures",
    "harness.plugin.outcomes",
    "harness.plugin.matrix",
    "harness.plugin.record",
    "harness.plugin.bench_options",
    "harness.plugin.bench",
]
