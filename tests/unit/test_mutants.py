# SPDX-License-Identifier: Apache-2.0
"""The negative controls, as far as they need no root: patches apply, and names are known."""

import pytest

from harness.datapath import DATAPATHS
from harness.datapath.kube_proxy import changed, node_rules
from harness.topology import Family
from harness.topology import addressing as plan
from testbeds import services
from testbeds.mutants import MUTANTS, catches, mutated, never_failed, suites
from testbeds.mutants.mutant import Catch

#: Services that have every rule which a mutant changes.
NEAR, FAR = plan.pod(1, 1), plan.pod(2, 1)
SERVED = services.settings(
    services.Served(1, (NEAR, FAR), affinity=1),
    services.Served(2),
    services.Served(3, (NEAR,), local=True),
    services.Served(4, (FAR,), local=True),
).used_services
HERE = frozenset({NEAR.ipv4, NEAR.ipv6})


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "_"))
def test_its_patches_apply_and_change_something(mutant):
    if mutant.datapath == "legacy" and not mutant.claims:
        assert mutated(mutant) != DATAPATHS["legacy"]
        every = [node_rules(family, 1, used=SERVED, here=HERE) for family in Family]
        for change in mutant.changes:
            assert any(changed(rules, (change,)) != rules for rules in every)
        for rules in every if mutant.changes else ():
            assert changed(rules, mutant.changes) != rules
        return
    if not mutant.patches:  # it claims what it is not, nothing else
        assert mutated(mutant).claims != DATAPATHS[mutant.datapath].claims
        return
    assert mutated(mutant).source.text() != DATAPATHS[mutant.datapath].source.text()


def unknown(found):
    """Catches whose test or assertion is not there."""
    return [
        (catch.test, catch.assertion)
        for catch in found
        if catch.assertion not in suites().get(catch.test, ())
    ]


def test_every_control_asks_for_an_assertion_that_is_there():
    assert unknown(catches()) == []


@pytest.mark.parametrize(
    ("test", "assertion"),
    [
        ("one_node/test_frames::test_hr13_ttl_same_node", "TTL at pod3"),
        ("one_node/test_frames::test_hr13_ttl_same_node", "TTL at"),
        ("one_node/test_frames::test_hr13_ttl_same_node", ""),
        ("one_node/test_frames::test_hr13_ttl_same_nod", "TTL at pod2"),
        ("two_node/test_frames::test_hr13_ttl_same_node", "TTL at pod2"),
    ],
)
def test_a_mistyped_one_is_noticed(test, assertion):
    assert unknown([Catch(test, assertion)]) == [(test, assertion)]


def test_every_test_has_a_control():
    """A test of the catalogue that no control makes fail does not count."""
    caught = {catch.test for catch in catches()}
    assert [test for test in suites() if test not in caught] == []


def test_what_was_never_seen_to_fail_is_what_no_control_asks_for():
    asked = {(catch.test, catch.assertion) for catch in catches()}
    left = {(test, name) for test, names in never_failed().items() for name in names}
    every = {(test, name) for test, names in suites().items() for name in names}
    assert asked | left == every
    assert not asked & left
