# SPDX-License-Identifier: Apache-2.0
"""Loads the harness's plugin and registers the testbeds, for a checkout that is not installed."""

import testbeds

testbeds.register()

pytest_plugins = ["harness.plugin"]
