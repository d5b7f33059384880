# SPDX-License-Identifier: Apache-2.0
"""The table of claims: values, contradictions, and which tests rest on which claim."""

import ast
import dataclasses
import re
from pathlib import Path

import pytest

import testbeds
from harness.datapath import CLAIMS, DATAPATHS, Claims, unclaimed
from harness.datapath.claims import BOTH, NEITHER, ClaimError, declinable, text
from harness.topology import Family
from testbeds.mutants import MUTANTS
from testbeds.mutants.claims import DECLINING, FALSE, REFUSED

BPF = DATAPATHS["bpf"].claims
IPV4 = frozenset({Family.ipv4})


def test_every_claim_has_a_datapath_that_makes_it_falsely_and_is_caught():
    assert set(CLAIMS) == set(FALSE) | REFUSED
    assert not set(FALSE) & REFUSED
    assert set(FALSE.values()) <= {mutant.name for mutant in MUTANTS}


@pytest.mark.parametrize("claim", FALSE)
def test_a_false_claim_is_caught_by_an_entry_that_rests_on_it(claim):
    mutant = next(mutant for mutant in MUTANTS if mutant.name == FALSE[claim])
    caught = {f"HR-{number}" for catch in mutant.catches
              for number in re.findall(r"_hr(\d\d)_", catch.test)}  # fmt: skip
    assert caught & set(CLAIMS[claim].ids)


@pytest.mark.parametrize("claim", REFUSED)
def test_a_value_that_is_not_built_is_refused(claim):
    for value in set(CLAIMS[claim].values) - {getattr(BPF, claim)}:
        with pytest.raises(ClaimError, match="not built yet"):
            dataclasses.replace(BPF, **{claim: value})


def test_every_declinable_claim_is_truly_declined_by_somebody():
    bundled = {
        name
        for name, claim in CLAIMS.items()
        for datapath in DATAPATHS.values()
        if claim.declinable and claim.declined(getattr(datapath.claims, name))
    }
    assert {name for name, claim in CLAIMS.items() if claim.declinable} == bundled | set(DECLINING)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"delivers": "teleport"}, "claim delivers cannot be teleport: use one of stack, lxc"),
        ({"delivers": True}, "claim delivers cannot be yes"),
        ({"counts": 1}, "claim counts cannot be 1: use one of yes, no"),
        ({"time_exceeded": True}, "use a frozenset of ipv4, ipv6"),
        ({"time_exceeded": frozenset({4, 5})}, "claim time_exceeded cannot be 4, 5"),
        ({"too_big": "ipv4"}, "claim too_big cannot be ipv4"),
        ({"refusing_routes": "maybe"}, "use one of none, drop, tell"),
    ],
)  # fmt: skip
def test_a_value_that_the_table_lacks_is_refused_in_one_line(changes, message):
    with pytest.raises(ClaimError) as error:
        dataclasses.replace(BPF, **changes)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("base", "changes", "message"),
    [
        (BPF, {"delivers": "stack"}, "bypasses_stack, but delivers or forwards by the stack"),
        (BPF, {"forwards": "stack"}, "bypasses_stack, but"),
        (BPF, {"delivers_off_wire": "stack"}, "bypasses_stack, but"),
        (BPF, {"bypasses_stack": False}, "but not bypasses_stack"),
        (Claims(), {"forwards": "neigh"}, "but not bypasses_stack"),
        (BPF, {"delivers": "lxc"}, "keeps_mark, but"),
        (BPF, {"delivers_off_wire": "lxc"}, "keeps_mark, but"),
        (Claims(), {"keeps_mark": True}, "keeps_mark, but"),
        (Claims(), {"local_pods": "table"}, "local_pods = table, but"),
        (Claims(), {"accepts_otherhost": True}, "accepts_otherhost, but"),
        (BPF, {"routing": "tunnel"}, "routing = tunnel"),
    ],
)
def test_contradictions_are_refused(base, changes, message):
    with pytest.raises(ClaimError, match="contradict each other") as error:
        dataclasses.replace(base, **changes)
    assert message in str(error.value)


def test_an_unknown_claim_is_refused():
    with pytest.raises(TypeError):
        Claims(teleports=True)
    with pytest.raises(ClaimError, match="no test can rest on claim 'teleports'"):
        declinable("teleports")
    with pytest.raises(ClaimError, match="no test can rest on claim 'delivers'"):
        unclaimed(BPF, ("delivers",), Family.ipv4)


def test_a_declined_claim_is_named_with_the_family_that_it_is_declined_for():
    only4 = dataclasses.replace(BPF, time_exceeded=IPV4, answers_nd=False)
    assert unclaimed(only4, ("time_exceeded",), Family.ipv4) == ""
    assert unclaimed(only4, ("time_exceeded",), Family.ipv6) == "time_exceeded = ipv6"
    assert unclaimed(only4, ("time_exceeded",), None) == ""
    none = dataclasses.replace(BPF, time_exceeded=NEITHER)
    assert unclaimed(none, ("time_exceeded",), None) == "time_exceeded"
    assert unclaimed(only4, ("answers_arp", "answers_nd"), Family.ipv4) == ""
    assert unclaimed(only4, ("answers_arp", "answers_nd"), Family.ipv6) == "answers_nd"
    assert unclaimed(only4, ("too_big", "answers_nd"), None) == "answers_nd"


def test_values_read_as_people_write_them():
    assert [text(value) for value in (BOTH, NEITHER, True, False, "", "peer")] == [
        "ipv4, ipv6", "none", "yes", "no", "none", "peer",
    ]  # fmt: skip
    assert str(Claims()) == ""
    assert str(Claims(too_big=IPV4)) == "too_big = ipv4"


def _used():
    """Claim → entries of the catalogue whose tests name it, in a marker or in their code."""
    found = {}
    for path in Path(testbeds.__file__).parent.glob("**/test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        marks = {
            node.targets[0].id: set(_claims_in(node.value))
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
            number = re.search(r"_hr(\d\d)_", function.name)
            names = [mark.id for mark in function.decorator_list if isinstance(mark, ast.Name)]
            names.append("pytestmark")
            claims = set(_claims_in(function)).union(*(marks.get(name, ()) for name in names))
            for claim in claims if number else ():
                found.setdefault(claim, set()).add(f"HR-{number[1]}")
    return found


def _claims_in(function):
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith("claims"):
            yield {"off_wire": "delivers_off_wire"}.get(node.attr, node.attr)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.claims":
            yield from (argument.value for argument in node.args)
            yield from (keyword.arg for keyword in node.keywords if keyword.arg != "family")


def test_the_table_says_which_entries_rest_on_a_claim():
    written = {name: set(claim.ids) for name, claim in CLAIMS.items() if name != "routing"}
    assert written == _used()
