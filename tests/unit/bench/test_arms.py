# SPDX-License-Identifier: Apache-2.0
"""Which arms are compared as a bypass against the stack: by what they claim, not by their names."""

import dataclasses

import pytest

from harness.bench import bypass_against_stack
from harness.datapath import DATAPATHS
from harness.report.figures.palette import looks


@pytest.mark.parametrize(
    ("arms", "baseline", "pairs"),
    [
        (["legacy", "bpf"], "legacy", [("bpf", "legacy")]),
        (["bpf", "legacy"], "bpf", [("bpf", "legacy")]),
        (
            ["legacy", "bpf", "bpf-redirect"],
            "legacy",
            [("bpf", "legacy"), ("bpf-redirect", "legacy")],
        ),
        (["bpf", "bpf-redirect", "legacy"], "bpf", [("bpf", "legacy")]),
        (["bpf", "bpf-redirect"], "bpf", []),
        (["legacy", "limit", "legacy (again)"], "legacy", []),
    ],
)  # fmt: skip
def test_pairs_are_of_what_bypasses_and_what_does_not(arms, baseline, pairs):
    assert bypass_against_stack(arms, baseline) == pairs


def test_a_datapath_of_any_name_is_judged_by_its_claims(monkeypatch):
    renamed = dataclasses.replace(DATAPATHS["bpf"], name="mine")
    monkeypatch.setitem(DATAPATHS, "mine", renamed)
    assert bypass_against_stack(["legacy", "mine"], "legacy") == [("mine", "legacy")]
    modest = dataclasses.replace(renamed, claims=DATAPATHS["legacy"].claims)
    monkeypatch.setitem(DATAPATHS, "mine", modest)
    assert bypass_against_stack(["legacy", "mine"], "legacy") == []


def test_registered_datapaths_look_the_same_whatever_stands_beside_them():
    alone, beside = looks(["bpf"]), looks(["mine", "legacy", "limit", "bpf", "yours"])
    assert alone["bpf"] == beside["bpf"]
    assert len(set(beside.values())) == 5
