# SPDX-License-Identifier: Apache-2.0
"""A control asks for an assertion by its name, and the test's source may read as it likes."""

import importlib.util
import inspect
import itertools

import pytest

from harness.topology import Family
from testbeds.controls import failed_assertion, find_test
from testbeds.mutants import MUTANTS, mutated
from tests.support.renamed import renamed

pytestmark = pytest.mark.control

#: One of several assertions of its test; one of legs; one inside a loop; one of a fault of legacy.
CASES = [
    ("TTL not decremented on forwarding", "TTL on the wire"),
    ("replies lost", "legs"),
    ("MACs not rewritten on delivery", "MACs"),
    ("legacy poses as BPF", "hooks"),
]


@pytest.mark.parametrize(("name", "assertion"), CASES)
def test_a_renamed_local_breaks_no_control(request, tmp_path, name, assertion):
    mutant = next(mutant for mutant in MUTANTS if mutant.name == name)
    catch = next(catch for catch in mutant.catches if catch.assertion == assertion)
    test = find_test(catch)
    source = inspect.getsource(inspect.getmodule(test))
    path = tmp_path / "test_renamed.py"
    path.write_text(renamed(source), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("test_renamed", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    copy = getattr(module, test.__name__)
    assert set(copy.__code__.co_varnames).isdisjoint(_locals(test))
    found = failed_assertion(request, copy, mutated(mutant), Family.ipv4, catch.arguments)
    assert found == assertion


def _locals(test):
    """Its local variables, without its parameters."""
    code = test.__code__
    return set(itertools.islice(code.co_varnames, code.co_argcount, None))
