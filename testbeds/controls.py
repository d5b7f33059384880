# SPDX-License-Identifier: Apache-2.0
"""Run a test of the suites on something broken, and see which of its assertions fails."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from harness.datapath import Datapath
from harness.plugin.assertions import failed
from harness.topology import TESTBEDS, Family
from testbeds.mutants.mutant import Catch

Test = Callable[..., None]


def find_test(catch: Catch) -> Test:
    """The function of a catch's test."""
    path, function = catch.test.split("::")
    module = importlib.import_module("testbeds." + path.replace("/", "."))
    test: Test = getattr(module, function)
    return test


def failed_assertion(
    request: pytest.FixtureRequest,
    test: Test,
    datapath: Datapath | None,
    family: Family | None,
    arguments: Mapping[str, object],
) -> str:
    """Run a test, and return the name of the assertion on which it fails.

    An assertion elsewhere, as in the harness itself, is another reason, and raised.

    Args:
        request: Of the control, for the test's fixtures.
        test: The function.
        datapath: What the nodes run.
        family: What the test runs on.
        arguments: Values for its own parameters, and for fixtures that are to be others.
    """
    with pytest.raises(AssertionError) as failure:
        call_test(request, test, datapath, family, arguments)
    assertion = failed(failure.value)
    if assertion is None or assertion.function != test.__name__:
        raise failure.value
    return assertion.name


def call_test(
    request: pytest.FixtureRequest,
    test: Test,
    datapath: Datapath | None,
    family: Family | None,
    arguments: Mapping[str, object],
) -> None:
    """Run a test of the suite with a datapath of our choice, as pytest would with its own."""
    build = request.getfixturevalue("build_testbed")
    available: dict[str, Any] = {"datapath": datapath, "family": family, **arguments}
    parameters = inspect.signature(test).parameters
    for name in parameters:
        if name in available:
            continue
        if name in TESTBEDS:
            available[name] = build(name, datapath, family, _changes(test))
        else:
            available[name] = request.getfixturevalue(name)
    test(**{name: available[name] for name in parameters})


def _changes(test: Test) -> dict[str, object]:
    """What the test's marker changes of its topology."""
    return {
        key: value
        for mark in getattr(test, "pytestmark", [])
        if mark.name == "topology"
        for key, value in mark.kwargs.items()
    }
