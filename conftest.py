# SPDX-License-Identifier: Apache-2.0
"""Makes the checkout work without being installed, and gives every option its short name."""

from pathlib import Path

import pytest

import pytest_hostroute
import testbeds

pytest_plugins = ["pytest_hostroute"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--datapath` for `--hr-datapath`, and so on: everything here is about host routing."""
    pytest_hostroute.add_aliases(parser)


def pytest_hostroute_register(suites: list[Path]) -> None:
    """What the entry points do where the project is installed."""
    testbeds.register()
    suites.append(Path(testbeds.__file__).parent)
