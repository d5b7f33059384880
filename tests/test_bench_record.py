# SPDX-License-Identifier: Apache-2.0
"""Records: whole or not there, never over another."""

import errno
import json
import math
import os
from datetime import datetime

import pytest

from harness.bench import Arm, Comparison, Criteria, Plan, Run, judge, write_record
from harness.bench.comparison import AGAIN, FIRST, SECOND
from harness.bench.measures import MEASURES
from harness.errors import RecordError
from harness.topology import Family, Topology


def comparison():
    arms = {
        role: Arm(name, "one_node", Topology(pods_per_node=2))
        for role, name in ((FIRST, "bpf"), (SECOND, "legacy"), (AGAIN, "bpf"))
    }
    described = {
        FIRST: {"master": "bpf (tags)"},
        SECOND: {"master": "legacy (rules)"},
        AGAIN: {"master": "bpf (tags)"},
    }
    series = {role: [[[4900.0]], [[5000.0]]] for role in arms} | {SECOND: [[[6100.0]], [[6200.0]]]}
    return Comparison(
        MEASURES["round-trip-udp"], Family.ipv4, arms, described, {role: {} for role in arms},
        series, Plan(2, 1), "7", Criteria(), judge([0.8, 0.81], [1.0, 1.0], "lower"),
    )  # fmt: skip


def test_a_run_is_one_file_that_says_what_it_is(tmp_path):
    run = Run(seed=7)
    run.comparisons.append(comparison())
    path = run.write(tmp_path / "results")
    assert list(path.parent.iterdir()) == [path]
    record = json.loads(path.read_text())
    assert (record["format"], record["version"], record["seed"]) == ("hostroute-bench", 1, 7)
    assert record["machine"]["kernel"] == os.uname().release
    assert record["machine"]["kernel"] in path.name
    (entry,) = record["comparisons"]
    assert (entry["measure"], entry["family"], entry["unit"]) == ("round trip", "ipv4", "ns")
    assert entry["judgement"]["verdict"] == "no difference found"
    assert entry["arms"]["first"]["samples"] == [[[4900.0]], [[5000.0]]]
    assert entry["arms"]["second"]["nodes"] == {"master": "legacy (rules)"}
    assert entry["arms"]["second"]["settings"]["legacy_services"] == 100
    assert entry["arms"]["first"]["topology"]["pods_per_node"] == 2


def test_the_line_names_both_arms_whole():
    found = comparison()
    assert str(found).startswith(
        "round trip one_node ipv4 UDP 64 B: bpf 4.95 us, legacy 6.15 us, ratio 0.805 ["
    )
    assert found.names() == ["one_node master: bpf (tags)", "one_node master: legacy (rules)"]
    assert not found.beats


def test_two_records_of_one_second_do_not_meet(tmp_path):
    paths = {write_record(tmp_path, {"number": number}) for number in range(20)}
    assert len(paths) == len(list(tmp_path.iterdir())) == 20


def test_a_taken_name_is_not_overwritten(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "urandom", bytes)
    monkeypatch.setattr("harness.bench.record.datetime", StoppedClock)
    first = write_record(tmp_path, {"number": 1})
    with pytest.raises(RecordError, match="exists"):
        write_record(tmp_path, {"number": 2})
    assert json.loads(first.read_text()) == {"number": 1}
    assert list(tmp_path.iterdir()) == [first]


class StoppedClock(datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 1, 1, 12, tzinfo=tz)


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordError, match=r"No space left on device.*make room"):
        write_record(tmp_path, {"number": 1})
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_the_directory_should_be(tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(RecordError, match="cannot write a record into"):
        write_record(tmp_path / "results", {})


@pytest.mark.parametrize("value", [math.nan, math.inf, object()])
def test_what_json_has_not_is_refused(tmp_path, value):
    with pytest.raises(RecordError, match="as JSON"):
        write_record(tmp_path, {"value": value})
    assert list(tmp_path.iterdir()) == []
