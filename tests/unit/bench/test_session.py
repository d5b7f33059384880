# SPDX-License-Identifier: Apache-2.0
"""Comparisons and runs: what they say, and what a record gets of them."""

import json

import pytest
from msgspec import to_builtins

from harness import results
from harness.bench import MEASURES, Criteria, Session, Task, limit
from harness.bench.measurement import Measurement
from harness.bench.series import ArmSeries
from harness.results.comparison import AGAIN, LIMIT
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
    labels = {"legacy": 7000.0, "bpf": bpf, "bpf again": bpf, LIMIT: 3500.0}
    arms = {label: arm(label.removesuffix(AGAIN)) for label in labels} | {LIMIT: limit(testbed)}
    found = Measurement(
        Task(key, measure, Family.ipv4), testbed, arms, "bpf", "7 one_node", Criteria()
    )
    found._arms |= {label: series(label, value, min(builds, 4) if label == LIMIT else builds)
                    for label, value in labels.items()}  # fmt: skip
    found.builds = builds
    return found.finish(partial)


def test_what_a_record_gets_of_a_comparison():
    entry = json.loads(json.dumps(to_builtins(comparison()), allow_nan=False))
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
    (verdict,) = to_builtins(comparison(builds=1))["verdicts"]
    assert (verdict["low"], verdict["high"], verdict["noise"]) == (None, None, None)
    assert "too few" in verdict["warnings"][0]


def test_percentiles_come_from_many_samples_only():
    few = comparison().arms["bpf"]
    assert few.percentiles == {}
    many = series("bpf", 1000.0)
    many.samples = [[[float(at) for at in range(1, 1001)]]]
    assert many.finished(again=False).percentiles == pytest.approx(
        {"p50": 500.5, "p90": 900.1, "p99": 990.01, "p99.9": 999.001}
    )


def test_the_line_names_what_was_compared_and_all_that_was_found():
    line = str(comparison()).replace("\N{NO-BREAK SPACE}", " ")
    assert line.startswith(
        f"{MEASURES[KEY].name} one_node ipv4 {MEASURES[KEY].describe()}: legacy "
    )
    assert "bpf 4.90 µs, limit 3.50 µs; ratio 0.700 [0.700, 0.700], faster" in line
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
    assert comparison().share_of_limit("bpf") == pytest.approx(3500 / 4900, rel=0.01)
    rate = next(key for key, measure in MEASURES.items() if measure.better == "higher")
    assert comparison(key=rate).share_of_limit("bpf") == pytest.approx(4900 / 3500, rel=0.01)


def test_what_a_record_gets_of_a_run(tmp_path):
    session = Session(seed=7)
    assert not session
    session.comparisons += [comparison(), comparison(testbed="two_node")]
    assert session
    draft = results.begin(tmp_path, ["pytest"])
    session.enter(draft)
    assert (draft.seed, draft.partial, draft.growth) == (7, None, [])
    assert [entry.testbed for entry in draft.comparisons] == ["one_node", "two_node"]
    assert [gain.testbed for gain in draft.summary] == ["one_node", "two_node", "all"]
    assert results.read(results.write(tmp_path, draft.ended())).comparisons == draft.comparisons


def test_a_run_says_why_it_is_partial():
    run = Session()
    run.comparisons += [comparison(), comparison("the link went down")]
    assert run.partial == "1 of 2 results are partial; the first: the link went down"
    run.comparisons.pop()
    assert run.partial is None


def test_a_run_draws_its_seed():
    assert Session().seed != Session().seed
