# SPDX-License-Identifier: Apache-2.0
"""Makes the checkout work without being installed, and gives every option its short name."""

from pathlib import Path

import pytest

import pytest_hostroute
import testbeds

pytest_plugins = ["pytest_hostroute"]

#: The harness's own tests. None is of the catalogue.
_OWN_TESTS = Path(__file__).parent / "tests"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`-m conformance` alone selects none of the harness's own tests: spare the seconds."""
    asked = config.getoption("markexpr") == "conformance"
    by_default = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return (asked and by_default and collection_path.is_relative_to(_OWN_TESTS)) or None


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--datapath` for `--hr-datapath`, and so on: everything here is about host routing."""
    pytest_hostroute.add_aliases(parser)


def pytest_hostroute_register(suites: list[Path]) -> None:
    """What the entry points do where the project is installed."""
    testbeds.register()
    suites.append(Path(testbeds.__file__).parent)
