# SPDX-License-Identifier: Apache-2.0
"""Loads the harness's plugin; everything else is there."""

pytest_plugins = ["harness.plugin"]
