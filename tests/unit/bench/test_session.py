# SPDX-License-Identifier: Apache-2.0
"""Comparisons and runs: what they say, and what a record gets of them."""

import json

import pytest

from harness.bench import AGAIN, LIMIT, MEASURES, Criteria, Plan, Run, Task, limit
from harness.bench.comparison import Comparison, judged
from harness.bench.series import ArmSeries
from harness.topology import Family
from tests.support.bench_lab import arm

KEY = next(iter(MEASURES))


def series(label, value, builds=6):
    asked = limit("one_node") if label == LIMIT else arm(label.removesuffix(AGAIN))
    taken = [[[value + build, value + build, value + build + 900.0]] for build in range(builds)]
    values = [[value + build] for build in range(builds)]
    return ArmSeries(asked, {"master": f"{label} (tags)"}, {}, taken, values)


def comparison(partial=None, builds=6, testbed="one_node", bpf=4900.0, key=KEY):
    measure = MEASURES[key]
    arms = {
        "legacy": series("legacy", 7000.0, builds), "bpf": series("bpf", bpf, builds),
        "bpf again": series("bpf again", bpf, builds), LIMIT: series(LIMIT, 3500.0, min(builds, 4)),
    }  # fmt: skip
    criteria = Criteria()
    judgements = judged(arms, "legacy", "bpf", measure, criteria, last=False)
    task = Task(key, measure, Family.ipv4)
    return Comparison(
        task, testbed, arms, "legacy", "bpf", Plan(28, 1), "7 one_node", criteria, partial,
        judgements,
    )  # fmt: skip


def test_what_a_record_gets_of_a_comparison():
    entry = json.loads(json.dumps(comparison().to_json(), allow_nan=False))
    assert (entry["measure"], entry["testbed"], entry["family"]) == (KEY, "one_node", "ipv4")
    assert (entry["unit"], entry["better"], entry["baseline"]) == ("ns", "lower", "legacy")
    assert entry["criteria"]["looks"][0] == [6, 1 / 32]
    assert list(entry["arms"]) == ["legacy", "bpf", "bpf again", "limit"]
    bpf, nothing = entry["arms"]["bpf"], entry["arms"]["limit"]
    assert bpf["samples"][1] == [[4901.0, 4901.0, 5801.0]]
    assert bpf["values"][:2] == [[4900.0], [4901.0]]
    assert bpf["settings"]["legacy_services"] == 100
    assert bpf["topology"]["pods_per_node"] == 2
    assert (bpf["again"], entry["arms"]["bpf again"]["again"]) == (False, True)
    assert (nothing["datapath"], nothing["settings"]) == (None, {})
    (verdict,) = entry["verdicts"]
    assert (verdict["arm"], verdict["against"], verdict["verdict"]) == ("bpf", "legacy", "faster")
    assert verdict["ratio"] == pytest.approx(0.7, abs=0.01)
    assert verdict["builds"] == 6


def test_what_is_without_end_is_null_in_a_record():
    (verdict,) = comparison(builds=1).to_json()["verdicts"]
    assert (verdict["low"], verdict["high"], verdict["noise"]) == (None, None, None)
    assert "too few" in verdict["warnings"][0]


def test_percentiles_come_from_many_samples_only():
    few = comparison().arms["bpf"]
    assert few.percentiles() == {}
    many = series("bpf", 1000.0)
    many.samples = [[[float(at) for at in range(1, 1001)]]]
    assert many.percentiles() == pytest.approx(
        {"p50": 500.5, "p90": 900.1, "p99": 990.01, "p99.9": 999.001}
    )


def test_the_line_names_what_was_compared_and_all_that_was_found():
    line = str(comparison())
    assert line.startswith(
        f"{MEASURES[KEY].name} one_node ipv4 {MEASURES[KEY].describe()}: legacy "
    )
    assert "bpf 4.90 us, limit 3.50 us; ratio 0.700 [0.700, 0.700], faster" in line
    assert "again" not in line
    partial = str(comparison("the link went down"))
    assert partial.endswith("; partial: the link went down")
    assert "ratio 0." in partial
    assert "faster" not in partial
    assert "faster" in str(comparison())


def test_who_beats_whom_does_not_depend_on_the_baseline():
    found = comparison()
    assert found.beats("bpf", "legacy")
    assert not found.beats("legacy", "bpf")
    assert not found.beats("bpf", "bpf-redirect")
    slower = comparison(bpf=9000.0)
    assert slower.beats("legacy", "bpf")
    assert not slower.beats("bpf", "legacy")
    assert not comparison("interrupted").beats("bpf", "legacy")


def test_the_share_of_the_limit_is_1_at_best_whatever_the_direction():
    assert comparison().share("bpf") == pytest.approx(3500 / 4900, rel=0.01)
    rate = next(key for key, measure in MEASURES.items() if measure.better == "higher")
    assert comparison(key=rate).share("bpf") == pytest.approx(4900 / 3500, rel=0.01)


def test_what_a_record_gets_of_a_run():
    run = Run(seed=7)
    assert not run
    run.comparisons += [comparison(), comparison(testbed="two_node")]
    assert run
    parts = run.parts()
    assert (parts["seed"], parts["partial"], parts["growth"]) == (7, None, [])
    assert [entry["testbed"] for entry in parts["comparisons"]] == ["one_node", "two_node"]
    assert [gain["testbed"] for gain in parts["summary"]] == ["one_node", "two_node", "all"]


def test_a_run_says_why_it_is_partial():
    run = Run()
    run.comparisons += [comparison(), comparison("the link went down")]
    assert run.partial == "1 of 2 results are partial; the first: the link went down"
    run.comparisons.pop()
    assert run.partial is None


def test_a_run_draws_its_seed():
    assert Run().seed != Run().seed
