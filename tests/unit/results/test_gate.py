# SPDX-License-Identifier: Apache-2.0
"""`hostroute results gate`: what passes, what does not, and the exit codes."""

import json

import pytest

from harness.plumbing.errors import REGRESSED, RecordError, UnknownNameError
from tests.support import records
from tests.support.results_desk import ONE, refused


def test_gate_passes_what_is_no_worse(put, results):
    base = put("a", seed=1)
    for new in (put("b", seed=2), put("c", seed=3, factors={"bpf": 0.9}), base):
        code, out, _ = results("gate", base, new)
        assert code == 0, out
        assert "gate passed: nothing worse, 2 figures and 18 assertions compared" in out


def test_gate_fails_on_a_regression_and_says_by_how_much(put, results):
    new = put("b", seed=2, factors={"bpf": 1.06})
    code, out, _ = results("gate", put("a", seed=1), new)
    assert code == REGRESSED
    (line,) = [line for line in out.splitlines() if line.startswith("regression: ")]
    assert "round trip one_node ipv4 UDP 1 B: bpf against legacy" in line
    share = float(line.split("slower by ")[1].split("%")[0])
    assert 4.5 < share < 7.5
    assert "gate failed" in out


def test_gate_judges_by_the_noise_of_both_runs(put, results, tmp_path):
    document = records.record(**ONE, seed=2, factors={"bpf": 1.06})
    for verdict in document["comparisons"][0]["verdicts"]:
        verdict["noise"] = 0.2
    (tmp_path / "noisy.json").write_text(json.dumps(document))
    assert results("gate", put("a", seed=1), tmp_path / "noisy.json")[0] == 0


def test_gate_does_not_pass_what_too_few_builds_cannot_tell(put, results):
    base, new = put("a", seed=1), put("b", seed=2, factors={"bpf": 2}, builds=1)
    code, out, _ = results("gate", base, new)
    assert code == REGRESSED
    few = "round trip one_node ipv4 UDP 1 B: bpf: {} builds in the base, {} in the new record"
    assert f"missing: {few.format(12, 1)}, too few to tell" in out.splitlines()
    code, out, _ = results("gate", new, base)  # the base has too few: said, and no fault of NEW
    assert code == 0
    assert f"untold: {few.format(1, 12)}, too few to tell" in out.splitlines()
    assert "0 figures and 18 assertions compared" in out
    assert "1 and 12 builds are too few to tell" in results("compare", new, base)[1]
    alone = {"conformance": [], "growth": []}
    line = refused(results("gate", put("c", builds=1, **alone), base), RecordError)
    assert "holds nothing to judge by" in line


@pytest.mark.parametrize("values", [[[0.0, 1.0]] * 12, [[]] * 12, []], ids=["0", "none", "()"])
def test_gate_says_of_what_no_ratio_can_be_made(put, results, desk, values):
    document = records.record(**ONE, seed=2)
    arm = document["comparisons"][0]["arms"]["bpf"]
    arm["values"] = values
    arm["samples"] = [[[value] for value in build] for build in values]
    document["comparisons"][0]["partial"] = "zero samples"
    odd, usual = desk.keep(document), put("a", seed=1)
    said = "round trip one_node ipv4 UDP 1 B: bpf: no ratio can be made of its values"
    code, out, _ = results("gate", usual, odd)
    assert code == REGRESSED
    assert f"missing: {said}" in out.splitlines()
    code, out, _ = results("gate", odd, usual)
    assert code == 0
    assert f"untold: {said}" in out.splitlines()
    assert results("compare", odd, usual)[0] == 0


def test_gate_counts_the_least_change_it_is_told_to(put, results):
    pair = put("a", seed=1), put("b", seed=2, factors={"bpf": 1.06})
    assert results("gate", *pair, "--least", "1")[0] == REGRESSED
    assert results("gate", *pair, "--least", "20")[0] == 0
    for wrong in ("-1", "100", "nan"):
        line = refused(results("gate", *pair, f"--least={wrong}"), UnknownNameError)
        assert "is no share" in line


def test_gate_does_not_mistake_a_drift_for_a_regression_unless_asked_to(put, results):
    pair = put("a", seed=1), put("b", seed=2, factors={"*": 1.1})
    assert results("gate", *pair)[0] == 0
    code, out, _ = results("gate", *pair, "--absolute")
    assert code == REGRESSED
    assert "regression: round trip one_node ipv4 UDP 1 B: legacy " in out


def test_gate_of_exact_figures_sees_half_a_per_cent(put, results):
    base = put("a", exact=records.exact())
    for factor, code in ((1.001, 0), (1.005, REGRESSED), (0.99, 0)):
        figures = [entry | {"value": entry["value"] * factor} for entry in records.exact()]
        assert results("gate", base, put("b", exact=figures))[0] == code


def test_gate_fails_on_what_is_missing(put, results):
    whole = {"measures": ("round-trip-udp-1", "connections-tcp"), "exact": records.exact()}
    code, out, _ = results("gate", put("a", **whole), put("b", growth=[]))
    assert code == REGRESSED
    curve = "round-trip-udp-1 one_node ipv4 over services at 0, 100, 1000, 10000: legacy"
    for line in ("missing: connections-tcp one_node ipv4: not measured",
                 f"missing: {curve} not fitted",
                 "missing: round trip one_node ipv6 legacy: not counted"):  # fmt: skip
        assert line in out.splitlines()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda entry: entry["arms"].pop("bpf-redirect"), "arm bpf-redirect not measured"),
        (lambda entry: entry.update(partial="zero samples"), "measured in part (zero samples)"),
        (lambda entry: entry.update(described="UDP 64 B"), "measured as UDP 64 B, UDP 1 B in"),
    ],
)
def test_gate_fails_on_what_was_measured_otherwise(put, results, tmp_path, change, words):
    document = records.record(**ONE, seed=2)
    entry = document["comparisons"][0]
    change(entry)
    entry["verdicts"] = [each for each in entry["verdicts"] if each["arm"] in entry["arms"]]
    (tmp_path / "x.json").write_text(json.dumps(document))
    code, out, _ = results("gate", put("a", seed=1), tmp_path / "x.json")
    assert code == REGRESSED
    assert words in out


@pytest.mark.parametrize("label", ["bpf again", "limit"])
def test_gate_does_not_miss_the_noise_s_arm_nor_the_limit(put, results, desk, label):
    document = records.record(**ONE, seed=2)
    entry = document["comparisons"][0]
    del entry["arms"][label]
    entry["verdicts"] = [each for each in entry["verdicts"] if each["arm"] != label]
    assert results("gate", put("a", seed=1), desk.keep(document))[0] == 0


def test_gate_does_not_miss_what_the_base_did_not_get_either(put, results, desk):
    base = records.record(**{**ONE, "measures": ("round-trip-udp-1", "connections-tcp")})
    empty = base["comparisons"][1]
    empty |= {"arms": {}, "verdicts": [], "baseline": "", "partial": "the link went down"}
    both = put("b", seed=2, measures=("round-trip-udp-1", "connections-tcp"))
    for new in (both, put("c", seed=2)):
        code, out, _ = results("gate", desk.keep(base), new)
        assert code == 0, out


def _with(test, **changes):
    return [entry | changes if test in entry["test"] else entry for entry in records.conformance()]


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (records.conformance(failed="bpf"),
         "conformance: HR-07 one_node bpf ipv4: passed before, failed now: AssertionError"),
        (_with("test_hr37", outcome="skipped", reason="too old"), "skipped now: too old"),
        (_with("test_hr44", outcome="error", reason="no log"), "HR-44: passed before, error now"),
        (records.conformance()[:-1], "conformance: HR-44: passed before, not run now"),
    ],
)  # fmt: skip
def test_gate_fails_on_an_assertion_that_held_before(put, results, new, words):
    code, out, _ = results("gate", put("a"), put("b", conformance=new))
    assert code == REGRESSED
    assert words in out


def test_gate_does_not_mind_a_renamed_test_or_one_that_failed_before(put, results):
    renamed = [entry | {"test": f"{entry['test']}_too"} for entry in records.conformance()]
    failing = records.conformance(failed="bpf")
    assert results("gate", put("a"), put("b", conformance=renamed))[0] == 0
    assert results("gate", put("a", conformance=failing), put("b", conformance=failing))[0] == 0


def test_gate_sees_what_fails_beside_a_test_that_failed_before(put, results):
    (other, *_) = records.conformance()
    also = [other | {"test": f"{other['test']}_{name}"} for name in "ab"]
    bad = {"outcome": "failed", "reason": "AssertionError"}
    base = put("a", conformance=[also[0], also[1] | bad])
    assert results("gate", base, base)[0] == 0
    for after in ({"outcome": "failed"}, {"outcome": "error"}, {"outcome": "skipped"}):
        new = put("b", conformance=[also[0] | bad | after, also[1] | bad])
        code, out, _ = results("gate", base, new)
        assert code == REGRESSED
        assert f"passed before, {after['outcome']} now: AssertionError ({also[0]['test']})" in out
        assert out.count("passed before") == 1
    code, out, _ = results("gate", base, put("c", conformance=[also[1] | bad]))
    assert code == REGRESSED
    assert "HR-07 one_node legacy ipv4: passed before, not run now" in out


def test_gate_has_no_verdict_on_what_was_measured_in_part(put, results):
    cut = {"comparisons": [records.comparison(partial="the link went down", factors={"bpf": 1.2})]}
    base, new = put("a", **cut), put("b", seed=2, **cut)
    code, out, _ = results("gate", base, put("c", seed=2, factors={"bpf": 1.2}))
    assert code == 0
    assert "untold: round trip one_node ipv4 UDP 1 B: measured in part" in out
    code, out, _ = results("gate", put("d"), new)
    assert code == REGRESSED
    assert "missing: round-trip-udp-1 one_node ipv4: measured in part" in out
    assert "regression:" not in out
    for line in results("compare", base, new)[1].splitlines():
        assert "slower" not in line
        assert "faster" not in line


def test_gate_says_what_noise_hides(put, results):
    noisy = records.record(**ONE, seed=2)
    for verdict in noisy["comparisons"][0]["verdicts"]:
        verdict["noise"] = 0.6
    new = put("b", seed=2, factors={"bpf": 1.5}, comparisons=noisy["comparisons"])
    code, out, _ = results("gate", put("a"), new)
    assert code == 0
    assert "untold: round trip one_node ipv4 UDP 1 B: bpf: noise of 60% hides any less" in out


def test_gate_takes_an_outcome_that_nobody_knows_for_no_pass(put, results):
    tests = records.conformance()
    other = tests[0] | {"outcome": "waived", "reason": "not in this quarter"}
    code, out, _ = results("gate", put("a"), put("b", conformance=[other, *tests[1:]]))
    assert code == REGRESSED
    said = f"passed before, waived now: not in this quarter ({other['test']})"
    assert f"conformance: HR-07 one_node legacy ipv4: {said}" in out.splitlines()
    # Nor was it one in the base: there is nothing to lose.
    base = put("c", conformance=[other, *tests[1:]])
    code, out, _ = results("gate", base, base)
    assert (code, "17 assertions compared" in out) == (0, True), out


def test_gate_takes_a_claim_given_up_for_worse_and_one_gained_for_no_worse(put, results):
    tests = records.conformance()
    bare = {"outcome": "not claimed", "reason": "source_check = ipv4"}
    every, without = put("a"), put("b", conformance=[tests[0] | bare, *tests[1:]])
    code, out, _ = results("gate", every, without)
    assert code == REGRESSED
    said = f"passed before, not claimed now: source_check = ipv4 ({tests[0]['test']})"
    assert f"conformance: HR-07 one_node legacy ipv4: {said}" in out.splitlines()
    assert out.count("passed before") == 1
    for base in (without, put("c", conformance=[tests[0] | bare | {"reason": "x"}, *tests[1:]])):
        for new in (every, without):
            code, out, _ = results("gate", base, new)
            assert (code, "passed before" in out) == (0, False), out
    # Of two tests of an assertion one is enough, and where none is claimed there is none to lose.
    two = [tests[0], tests[0] | {"test": f"{tests[0]['test']}_too"}, *tests[1:]]
    one = [two[0], two[1] | bare, *two[2:]]
    assert results("gate", put("d", conformance=two), put("e", conformance=one))[0] == REGRESSED
    assert results("gate", put("f", conformance=one), put("g", conformance=two))[0] == 0


def test_gate_fails_on_a_claim_that_turns_out_false(put, results):
    """It was not claimed and fails now that it is: another test of the assertion had passed."""
    tests = records.conformance()
    also = tests[0] | {"test": f"{tests[0]['test']}_too"}
    base = put("a", conformance=[tests[0], also | {"outcome": "not claimed", "reason": "x"}])
    new = put("b", conformance=[tests[0], also | {"outcome": "failed", "reason": "lost"}])
    code, out, _ = results("gate", base, new)
    assert code == REGRESSED
    assert f"passed before, failed now: lost ({also['test']})" in out


def test_gate_fails_on_fewer_tests_of_an_assertion(put, results):
    fewer = [entry for entry in records.conformance() if "hr37" not in entry["test"]]
    (kept, *others) = [entry for entry in records.conformance() if "hr37" in entry["test"]]
    again = kept | {"test": f"{kept['test']}_again"}
    base = put("a", conformance=[*fewer, kept, again, *others])
    assert results("gate", base, base)[0] == 0
    code, out, _ = results("gate", base, put("b", conformance=[*fewer, kept, *others]))
    assert code == REGRESSED
    assert "HR-37 one_node legacy ipv4: 2 tests passed before, 1 now" in out


@pytest.mark.parametrize("change", ["points", "described", "partial"])
def test_gate_does_not_compare_unlike_curves(put, results, change):
    """More points make another fit, and a curve that broke off has none."""
    curve, pods = records.growth("services"), records.growth("pods")
    curve["fits"]["bpf"] |= {"model": "linear", "slope": 0.01}
    if change == "points":
        for points in curve["points"].values():
            del points[-1]
    else:
        curve[change] = "another"
    code, out, _ = results("gate", put("a"), put("b", growth=[curve, pods]))
    assert code == REGRESSED
    assert "constant before" not in out
    for arm in ("legacy", "bpf"):
        line = f"round-trip-udp-1 one_node ipv4 over services at 0, 100, 1000, 10000: {arm}"
        assert f"missing: {line} not fitted" in out


def test_gate_says_what_it_judges_only_by_absolute_values(put, results, desk):
    document = records.record(**ONE)
    (entry,) = document["comparisons"]
    entry |= {"arms": {"bpf": entry["arms"]["bpf"]}, "baseline": "bpf", "verdicts": []}
    base = desk.keep(document, "run-a.json")
    words = "untold: round trip one_node ipv4 UDP 1 B: bpf: no arm beside it, judged with"
    code, out, _ = results("gate", base, base)
    assert (code, words in out) == (0, True), out
    assert words not in results("gate", base, base, "--absolute")[1]


def test_gate_fails_on_a_cost_that_begins_to_grow(put, results):
    grown = records.growth("services")
    grown["fits"]["bpf"] |= {"model": "linear", "slope": 0.01, "low": 0.009, "high": 0.011}
    pods = records.growth("pods")
    code, out, _ = results("gate", put("a"), put("b", growth=[grown, pods]))
    assert code == REGRESSED
    curve = "round-trip-udp-1 one_node ipv4 over services at 0, 100, 1000, 10000: bpf"
    assert f"growth: {curve}: constant before, now +0.01 for each" in out
    alone = {"measures": (), "conformance": []}
    base, new = (
        put("c", **alone, growth=[records.growth("services"), pods]),
        put("d", **alone, growth=[grown, pods]),
    )
    code, out, _ = results("gate", base, new)
    assert code == REGRESSED
    assert "gate failed, 0 figures and 0 assertions compared, and how 4 curves grow" in out
    code, out, _ = results("compare", base, new)
    assert code == 0
    assert f"  {curve}: constant before, now +0.01 for each" in out
    falls = {"slope": -0.01, "low": -0.011, "high": -0.009}
    # Its nearer end may be so little, over 10,000 services, that it would be no change elsewhere.
    barely = {"slope": 0.01, "low": 0.005, "high": 0.015}
    for harmless in (falls, barely):
        grown["fits"]["bpf"] |= harmless
        assert results("gate", put("a"), put("b", growth=[grown, pods]))[0] == 0
    assert results("gate", put("a"), put("b", growth=[grown, pods]), "--least", "1")[0] == REGRESSED


def test_a_gate_that_judges_nothing_does_not_pass(put, results):
    empty = put("a", measures=(), growth=[], conformance=[])
    assert "holds nothing to judge by" in refused(results("gate", empty, put("b")), RecordError)


def test_gate_for_machines(put, results):
    code, out, _ = results("gate", put("a", seed=1), put("b", seed=2, factors={"bpf": 1.06}),
                           "--json")  # fmt: skip
    document = json.loads(out)
    assert code == REGRESSED
    assert (document["passed"], document["missing"], document["asserted"]) == (False, [], 18)
    (change,) = document["regressions"]
    assert (change["arm"], change["against"], change["verdict"]) == ("bpf", "legacy", "slower")
