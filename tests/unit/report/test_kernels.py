# SPDX-License-Identifier: Apache-2.0
"""Reports over several kernels: what differs, what got worse, and what may not be compared."""

import pytest

from harness.report import FORMATS, Report, conformance, digest, kernels, trends
from harness.report.kernels import short
from harness.results.units import natural
from tests.support import records

KERNELS = ["5.10.0-37-amd64", "6.1.0-40-amd64", "6.12.48+deb13-amd64"]


def measured(kernel, seed=1, batch="one command", **changes):
    few = {"measures": ("round-trip-udp-1",), "testbeds": ("one_node",), "families": ("ipv4",)}
    return {**records.record(kernel=kernel, seed=seed, **{**few, "growth": [], **changes}),
            "batch": batch}  # fmt: skip


def counted(kernel, factor=1.0, seed=1):
    figures = [{**entry, "value": entry["value"] * (factor if entry["datapath"] == "bpf" else 1)}
               for entry in records.exact("6.1")]  # fmt: skip
    return measured(kernel, seed, comparisons=[], summary=[], conformance=[], exact=figures)


def runs(*documents):
    return tuple(map(records.as_run, documents))


def page(*documents):
    return FORMATS["html"](Report(tuple(map(digest, runs(*documents)))))


# ------------------------------------------------------------------------------------ kernels


def test_kernels_are_sorted_by_version():
    found = kernels.kernels_of(runs(*(measured(k) for k in reversed(KERNELS))))
    assert found == KERNELS
    names = ["6.12.1", "6.2", "6.12-rc3", "5.4.0-100", "5.4.0-99"]
    assert sorted(names, key=natural) == ["5.4.0-99", "5.4.0-100", "6.2", "6.12-rc3", "6.12.1"]


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (KERNELS, ["5.10", "6.1", "6.12"]),
        (["6.12.48+deb13", "6.12.50+deb13"], ["6.12.48", "6.12.50"]),
        (["6.12.48-a", "6.12.48-b"], ["6.12.48-a", "6.12.48-b"]),
        (["mine"], ["mine"]),
    ],
)
def test_the_shortest_names_that_tell_kernels_apart(names, shown):
    assert list(short(names).values()) == shown


# ---------------------------------------------------------------------------------- behaviour


def test_behaviour_that_differs_is_found_although_all_tests_pass():
    kept = [False, True, True]
    found = runs(*(measured(k, conformance=records.conformance(mark_kept=m))
                   for k, m in zip(KERNELS, kept, strict=True)))  # fmt: skip
    [one] = kernels.observations(conformance.seen_by(found), KERNELS)
    assert (one.id, one.name, one.values) == ("HR-37", "mark", ("0", "119", "119"))
    assert one.all_pass
    assert conformance.where(one.tests, {}) == [
        "one_node bpf ipv4, ipv6",
        "one_node bpf-skip-fib ipv4, ipv6",
    ]


def test_the_same_behaviour_is_no_difference():
    found = runs(*(measured(kernel) for kernel in KERNELS))
    assert kernels.observations(conformance.seen_by(found), KERNELS) == []


def test_a_test_that_one_kernel_lacks_differs_from_nothing():
    without = [t for t in records.conformance() if t["id"] != "HR-37"]
    found = runs(measured(KERNELS[0], conformance=without), measured(KERNELS[1]))
    assert kernels.observations(conformance.seen_by(found), KERNELS[:2]) == []


def test_the_matrix_has_a_column_for_each_kernel():
    old = records.conformance(failed="bpf")
    new = [t for t in records.conformance() if t["id"] != "HR-05"]
    text = page(measured(KERNELS[0], conformance=old), measured(KERNELS[1], conformance=new))
    assert 'class="fail" data-label="5.10">6 ok 2 FAILED</td>' in text
    assert 'class="pass" data-label="6.1">8 ok</td>' in text
    assert 'class="skipped" data-label="5.10">1 skipped</td>' in text
    assert 'class="none" data-label="6.1"></td>' in text
    assert "one_node bpf ipv4, ipv6 on 5.10</small>" in text
    assert "5.10.0-37-amd64" in text  # the whole name is there too


def test_at_a_glance_says_each_kernels_verdicts():
    text = page(measured(KERNELS[0], factors={"bpf": 2.0}), measured(KERNELS[1]))
    assert 'data-label="bpf">faster in 0 of 1, slower in 1</td>' in text
    assert 'data-label="bpf">faster in 1 of 1</td>' in text


# -------------------------------------------------------------------------------- instructions


def test_instructions_are_compared_whatever_machine_counted_them():
    found = runs(counted(KERNELS[0]), counted(KERNELS[1], 1.01), counted(KERNELS[2], 1.01))
    trend = trends.exact_trends(found, KERNELS)[0]
    assert trend.name == "round trip, one_node, ipv4"
    marks = [step.mark if step else None for step in trend.steps["bpf"]]
    assert marks == [None, trends.WORSE, ""]
    step = trend.steps["bpf"][1]
    assert step.low < 1.01 < step.high
    assert [step.mark for step in trend.steps["legacy"][1:]] == ["", ""]


def test_a_figure_of_nothing_is_shown():
    text = page(counted(KERNELS[0]), counted(KERNELS[1], 0), counted(KERNELS[2]))
    assert "\N{MINUS SIGN}100\N{NARROW NO-BREAK SPACE}%, better" in text


@pytest.mark.parametrize(("factor", "mark"), [(1.0019, ""), (1.0025, trends.WORSE),
                                              (0.9975, trends.BETTER), (0.9985, "")])  # fmt: skip
def test_only_more_than_repetitions_differ_by_is_marked(factor, mark):
    found = runs(counted(KERNELS[0]), counted(KERNELS[1], factor))
    assert trends.exact_trends(found, KERNELS[:2])[0].steps["bpf"][1].mark == mark


def test_repetitions_widen_the_interval():
    found = runs(counted(KERNELS[0]), counted(KERNELS[0], 1.01, seed=2), counted(KERNELS[1], 1.005))
    assert trends.exact_trends(found, KERNELS[:2])[0].steps["bpf"][1].mark == ""


def test_other_programs_are_not_taken_for_another_kernel():
    """What was counted at another commit, or with changes, may differ by the programs."""
    old, new = counted(KERNELS[0]), counted(KERNELS[1], 1.1)
    said = "Instructions were counted of different checkouts"
    dirty = {**new["git"], "dirty": True}
    assert said not in page({**old, "git": dirty}, {**new, "git": dirty})  # of one batch
    for git, batch in (({"commit": "a" * 40, "dirty": False}, "x"), (dirty, "x"), (dirty, None)):
        other = {**new, "git": git, "batch": batch}
        step = trends.exact_trends(runs(old, other), KERNELS[:2])[0].steps["bpf"][1]
        assert (round(step.ratio, 2), step.mark) == (1.1, "")
        assert said in page(old, other)
    assert said not in page(old, new)


def test_what_was_measured_in_part_is_neither_better_nor_worse():
    old, new = (measured(kernel, factors=factors) for kernel, factors in
                zip(KERNELS, ({}, {"bpf": 1.2}), strict=False))  # fmt: skip
    for entry in new["comparisons"]:
        entry["partial"] = "the link went down"
    (trend,) = trends.timed_trends(runs(old, new), KERNELS[:2])
    assert {step.mark for steps in trend.steps.values() for step in steps if step} == {""}
    for entry in new["comparisons"]:
        entry["partial"] = None
    (trend,) = trends.timed_trends(runs(old, new), KERNELS[:2])
    assert trend.steps["bpf to legacy"][1].mark == trends.WORSE


def test_a_kernel_without_figures_is_passed_over():
    found = runs(counted(KERNELS[0]), measured(KERNELS[1]), counted(KERNELS[2], 1.02))
    steps = trends.exact_trends(found, KERNELS)[0].steps["bpf"]
    assert steps[1] is None
    assert (steps[2].before, steps[2].mark) == (0, trends.WORSE)
    text = page(counted(KERNELS[0]), measured(KERNELS[1]), counted(KERNELS[2], 1.02))
    assert "<td>not measured</td>" in text
    cell = '<td role="cell" data-label='
    assert f'{cell}"From">5.10</td>{cell}"To">6.12</td>' in text


# --------------------------------------------------------------------------------------- times


def test_times_of_one_machine_and_one_command_are_compared():
    found = [measured(KERNELS[0]), measured(KERNELS[1], 2, factors={"*": 1.2})]
    assert kernels.refusal(runs(*found)) == ""
    [trend] = trends.timed_trends(runs(*found), KERNELS[:2])
    step = trend.steps["bpf"][1]
    assert step.mark == trends.WORSE
    assert step.low < 1.2 < step.high
    # All arms lost alike: against the baseline nothing changed.
    assert trend.steps["bpf to legacy"][1].mark == ""
    text = page(*found)
    assert "Times of these kernels are not compared" not in text
    assert '<span class="chip bad">worse</span>' in text


def test_a_change_within_the_noise_is_not_marked():
    found = runs(measured(KERNELS[0]), measured(KERNELS[1], 2))
    [trend] = trends.timed_trends(found, KERNELS[:2])
    assert {step.mark for steps in trend.steps.values() for step in steps if step} == {""}
    assert "No change from one kernel to the next counts." in page(
        measured(KERNELS[0]), measured(KERNELS[1], 2)
    )


REFUSED = {
    "different machines": ({"facts": {"cpu_model": "Neoverse-N1"}}, "unlike machines or rules"),
    "an unnamed machine": ({"facts": {"machine_id_hash": ""}}, "does not say which machine"),
    "emulated and not": ({"facts": {"accelerator": "emulation"}}, "unlike machines or rules"),
    "other rules": ({"services": 1000}, "unlike machines or rules"),
    "two commands": ({"batch": "another command"}, "not measured by one command"),
    "no known command": ({"batch": None}, "not measured by one command"),
}


@pytest.mark.parametrize(("changes", "why"), REFUSED.values(), ids=REFUSED)
def test_other_times_are_refused_with_the_reason(changes, why):
    found = [measured(KERNELS[0]), measured(KERNELS[1], 2, **changes)]
    assert why in kernels.refusal(runs(*found))
    text = page(*found)
    assert "Times of these kernels are not compared: " in text
    assert "times-0" not in text


def test_instructions_are_drawn_where_times_are_refused():
    found = [measured(kernel, n, batch=None, exact=records.exact("6.1"))
             for n, kernel in enumerate(KERNELS)]  # fmt: skip
    text = page(*found)
    assert "Times of these kernels are not compared: " in text
    assert 'id="exact-0"' in text
