# SPDX-License-Identifier: Apache-2.0
"""`--brief`: what is kept of the tests."""

from collections import Counter

from harness.plugin.brief import choose
from testbeds.mutants import MUTANTS
from tests.support.run_cli import end, pytest_of, start

DATAPATHS = ("legacy", "bpf", "bpf-redirect")


def kept(tests):
    """Assertion, datapath and family of those that are kept."""
    return [tests[index] for index in choose([(*test[:2], True) for test in tests])]


def grid(*assertions):
    """Every assertion on every datapath for both families, as pytest orders them."""
    return [(assertion, datapath, family)
            for assertion in assertions for datapath in DATAPATHS for family in (4, 6)]  # fmt: skip


def test_each_assertion_is_kept_once_for_each_datapath():
    tests = grid("legs", "ttl")
    assert [test[:2] for test in kept(tests)] == [test[:2] for test in tests[::2]]


def test_families_take_turns():
    assert [family for *_, family in kept(grid("legs", "ttl"))] == [4, 6, 4, 6, 4, 6]


def test_what_has_no_datapath_and_no_variants_is_kept():
    tests = [("kernel log", "", None), *grid("legs")]
    assert kept(tests)[0] == tests[0]
    assert choose([]) == []


def test_the_same_are_kept_whatever_else_runs():
    alone, among = kept(grid("ttl")), kept(grid("arp", "legs", "mac", "ttl"))
    assert [test for test in among if test[0] == "ttl"] == alone


def test_what_is_not_claimed_stands_back():
    """It would take the turn of a family that the datapath does claim."""
    tests = [("ttl", "mine", family != 4) for family in (4, 6)]
    assert [choose([*grid, *tests]) for grid in ([], [("legs", "mine", True)])] == [[1], [0, 2]]
    assert len(choose([("ttl", "mine", False)] * 2)) == 1


def test_each_mutant_is_kept_once_for_each_assertion():
    options = ("-q", "--collect-only", "--hr-brief", "testbeds/test_controls.py", "-k")
    found = end(start(pytest_of(*options, "test_mutant_is_caught")))
    kept = [line for line in found.out.splitlines() if "::test_mutant_is_caught[" in line]
    families = Counter("ipv4" if "-ipv4" in line else "ipv6" for line in kept)
    assert len(kept) == len({(mutant.name, catch.test)
                             for mutant in MUTANTS for catch in mutant.catches})  # fmt: skip
    assert len({line.partition("-test_hr")[0] for line in kept}) == len(MUTANTS)
    assert min(families.values()) > len(kept) / 4, families
