# SPDX-License-Identifier: Apache-2.0
"""The page: what it says and what it refuses to say."""

import re

import pytest

from harness.report import FORMATS, digest
from harness.report.digest import FEWEST_SAMPLES
from harness.report.page import DRAWN_RUNS
from harness.results import Fit
from tests.support import records
from tests.support.pages import Page, page, report, small


@pytest.fixture(scope="module")
def whole():
    """A run that measured and asserted."""
    return page(records.record())


def test_the_page_is_sound(whole):
    found = Page(whole)
    assert len(found.ids) == len(set(found.ids))
    missing = [link for link in found.links if link.startswith("#") and link[1:] not in found.ids]
    assert missing == []
    for _, attributes in found.tags:
        for said in (attributes.get("aria-labelledby") or "").split():
            assert said in found.ids


def test_the_page_needs_no_network_and_runs_no_script(whole):
    found = Page(whole)
    assert {tag for tag, _ in found.tags} & {"script", "iframe", "object", "img"} == set()
    assert [link for link in found.links if not link.startswith(("#", "data:,"))] == []
    assert re.findall(r"url\((?!#)", whole) == []
    assert "@import" not in whole
    assert "default-src 'none'" in whole
    assert [name for _, a in found.tags for name in a if name.startswith("on")] == []


def test_the_same_records_make_the_same_bytes(whole):
    assert page(records.record()) == whole


def test_the_headline_says_who_won_and_by_how_much(whole):
    words = Page(whole).words
    assert "eBPF host routing: bpf-redirect and bpf against legacy" in words
    assert "bpf is faster than legacy in 16 of 16 comparisons" in words
    mean = next(
        m for m in records.record()["summary"] if m["arm"] == "bpf" and m["testbed"] == "all"
    )
    assert f"geometric mean of 16 comparisons: {mean['gain']:.3f} [{mean['low']:.3f}, " in words
    assert "Linux 6.18.44 · AMD EPYC 9B14, 2 CPUs, virtual machine · 2026-11-22 17:41 UTC" in words
    assert (
        "Conformance: all 18 tests of 4 assertions passed (1 on a degraded node, 1 skipped)"
        in words
    )


def test_a_headline_of_a_loss():
    slow = page(records.record(factors={"bpf": 2.0}, growth=[], testbeds=("one_node",)))
    # Twice the time is worse; twice the rate is better.
    assert (
        '<p class="headline bad">bpf is faster than legacy in 4 of 8 comparisons; slower in 4.'
        in slow
    )


def test_every_comparison_is_in_the_table(whole):
    words = Page(whole).words
    for entry in records.record()["comparisons"]:
        verdict = entry["verdicts"][1]
        ends = f"{verdict['ratio']:.3f} [{verdict['low']:.3f}, {verdict['high']:.3f}]"
        assert ends in words
        assert f"{entry['title']} {entry['described']} {entry['better']} is better" in words
    assert whole.count(">baseline</span>") == 16
    assert whole.count('<span class="chip good">faster</span>') == 32


def test_every_figure_says_what_it_shows(whole):
    found = Page(whole)
    figures = [
        attributes for tag, attributes in found.tags if tag == "svg" and "role" in attributes
    ]
    named = [f for f in figures if f["role"] == "img" and f["aria-labelledby"]]
    assert len(named) == len(figures)
    # Two testbeds times two directions; two measures with many samples on four; two curves; keys.
    drawn = [f["id"] for f in figures if not f["id"].startswith("key-")]
    assert [sum(part in name for name in drawn) for part in ("forest", "ecdf", "growth")] == [
        4,
        8,
        2,
    ]
    assert len(drawn) == 14


def test_few_samples_are_no_distribution():
    few = records.record(measures=("throughput-tcp-1",))
    assert max(len(b) * len(b[0]) for b in [few["comparisons"][0]["arms"]["bpf"]["samples"]]) < (
        FEWEST_SAMPLES
    )
    assert "ecdf" not in page(few)
    assert 'id="distributions"' not in page(few)


def test_a_distributions_table_has_the_percentiles(whole):
    arm = records.record()["comparisons"][0]["arms"]["bpf"]["percentiles"]
    words = Page(whole).words
    assert "µs p50 p90 p99 p99.9 legacy " in words
    assert " bpf " + " ".join(f"{arm[key] / 1000:.2f}" for key in arm) in words


def test_a_quantile_is_a_value_that_so_many_samples_reach():
    document = small(builds=50)
    arm = digest(records.as_run(document)).distributions[0]["bpf"]
    samples = [
        s for b in document["comparisons"][0]["arms"]["bpf"]["samples"] for r in b for s in r
    ]
    assert arm.samples == len(samples) == 2000
    for share, value in arm.quantiles:
        assert sum(s <= value for s in samples) >= share * 2000 > sum(s < value for s in samples)
    assert arm.quantiles[0][0] < 0.002
    assert arm.quantiles[-1][0] > 0.998


def test_growth_says_its_model_and_slope(whole):
    words = Page(whole).words
    assert "services legacy bpf 0 " in words
    assert "growth linear constant for each service 0.0200 ns [0.0190, 0.0210]" in words


def test_whole_names_and_the_environment(whole):
    words = Page(whole).words
    assert "100 services: ipv4 805 rules 3f1f0c1c9a1b" in words
    assert "from_container=3b185187f1855c4c" in words
    assert "mitigations" not in words
    for text in ("console=ttyS0 root=/dev/vda1", "core.bpf_jit_enable 1", "qdisc noqueue"):
        assert text in words


def test_the_conformance_matrix_and_its_reasons():
    document = small(conformance=records.conformance(failed="bpf-redirect"))
    text = page(document, later={"HR-34": "not in this version: policy.c"})
    words = Page(text).words
    assert '<td role="cell" class="fail" data-label="bpf-redirect">2 FAILED</td>' in text
    assert '<td role="cell" class="degraded" data-label="bpf">1 degraded</td>' in text
    assert '<td role="cell" class="skipped" data-label="bpf">1 skipped</td>' in text
    assert (
        "AssertionError: the legs seen are not the legs expected one_node bpf-redirect ipv4, ipv6"
        in words
    )
    assert "master: Host Routing: Legacy (switched off by the user) one_node bpf ipv4" in words
    assert "no netfilter netdev egress hook before 5.16 one_node bpf ipv4" in words
    assert "Not in this version: policy.c: HR-34." in words
    assert "Not run: HR-01 to HR-04, HR-08 to HR-33, HR-35, HR-36, HR-38 to HR-43" in words


def test_the_legs_are_those_of_the_record(whole):
    legs = records.conformance()[0]["legs"][0]
    assert legs in Page(whole).texts


def test_degraded_is_not_hidden_by_a_pass():
    tests = records.conformance()
    tests[0]["degraded"] = ["master: Host Routing: Legacy (x)"]
    assert '<td role="cell" class="degraded" data-label="legacy">1 ok 1 degraded</td>' in page(
        small(comparisons=[], summary=[], growth=[], conformance=tests)
    )


@pytest.mark.parametrize("word", ["not claimed", "waived"])
def test_what_is_not_claimed_and_what_nobody_knows_is_shown_and_is_no_pass(word):
    tests = records.conformance()
    tests[0] |= {"outcome": word, "reason": "source_check = ipv4"}
    document = small(conformance=tests)
    text = page(document)
    assert f'<td role="cell" class="pass" data-label="legacy">1 ok 1 {word}</td>' in text
    assert f"<h3>{word.capitalize()}</h3>" in text
    assert f"all 17 tests of 4 assertions passed (1 on a degraded node, 1 skipped, 1 {word})" in (
        Page(text).words
    )
    assert "source_check = ipv4 one_node legacy ipv4" in Page(text).words
    said = FORMATS["md"](report(document))
    assert f"<summary>{word.capitalize()}</summary>" in said
    assert f"| 1 ok 1 {word} |" in said


def test_what_is_not_claimed_at_all_has_a_cell_of_its_own():
    bare = {"outcome": "not claimed", "reason": "source_check = ipv4"}
    tests = [test | bare if test["datapath"] == "legacy" else test
             for test in records.conformance()]  # fmt: skip
    text = page(small(conformance=tests))
    assert '<td role="cell" class="unclaimed" data-label="legacy">2 not claimed</td>' in text
    assert "These datapaths do not claim it." in Page(text).words
    words = Page(page(small(conformance=[test for test in tests if test["datapath"] == "legacy"])))
    assert "Conformance: no test ran (4 not claimed)." in words.words
    assert ".matrix td.unclaimed {" in text


def test_what_was_run_again_is_said():
    tests = records.conformance()
    tests[0]["reruns"] = 2
    document = small(conformance=tests)
    words = Page(page(document)).words
    assert "1 test came to the outcome only when run again: HR-07" in words
    assert "2 ok (2 reruns)" in words
    assert "> 1 test came to the outcome only when run again: HR-07" in FORMATS["md"](
        report(document)
    )


def test_an_error_in_a_fixture_is_a_failure():
    tests = records.conformance()
    tests[0] |= {"outcome": "error", "reason": "the node did not build"}
    text = page(small(conformance=tests))
    assert (
        '<p class="headline bad">Conformance: 1 of 18 tests of 4 assertions failed: HR-07' in text
    )
    assert "the node did not build" in text


# ------------------------------------------------------------------------------ what is missing


def test_a_record_with_nothing_in_it():
    empty = small(comparisons=[], summary=[], growth=[], conformance=[])
    words = Page(page(empty)).words
    assert "Nothing was measured or asserted in this run." in words
    assert "Environment" in words


def test_only_conformance():
    text = page(small(comparisons=[], summary=[], growth=[]))
    assert Page(text).words.startswith("eBPF host routing: conformance")
    assert 'id="verdicts"' not in text
    assert 'id="conformance"' in text


def test_partial_runs_say_so_first():
    document = small(partial="interrupted by Ctrl-C")
    document["comparisons"][0] |= {"partial": "the server never answered", "verdicts": []}
    head = Page(page(document).split("<main>")[0] + "</body></html>").words
    assert "This run is partial: interrupted by Ctrl-C" in head
    assert "round trip UDP 1 B on one_node, ipv4 is partial: the server never answered" in head


def test_what_broke_off_has_no_verdict_whatever_its_record_concludes():
    document = small(families=records.FAMILIES)
    document["comparisons"][0]["partial"] = "the link went down"
    text = page(document)
    assert "bpf is faster than legacy in 1 of 1 comparison; 1 more partial." in text
    assert '<p class="headline mixed">bpf is faster' in text
    lines = FORMATS["md"](report(document)).splitlines()
    rows = [line for line in lines if line.startswith("| round trip") and "| bpf |" in line]
    assert [row.endswith("| partial |") for row in rows] == [True, False]


def test_what_got_no_build_is_not_forgotten_in_the_headline():
    document = small(families=records.FAMILIES)
    document["comparisons"][0] |= {"partial": "the time was up", "arms": {}, "verdicts": []}
    text = page(document)
    assert "bpf is faster than legacy in 1 of 1 comparison; 1 more partial." in text
    assert '<p class="headline mixed">bpf is faster' in text


def test_ratios_to_another_baseline_are_a_figure_of_their_own():
    document = small(families=records.FAMILIES)
    second = document["comparisons"][1]
    second |= {"baseline": "bpf-redirect"}
    second["arms"].pop("legacy")
    second["verdicts"] = [found | {"against": "bpf-redirect"} for found in second["verdicts"]
                          if found["arm"] == "bpf"]  # fmt: skip
    words = Page(page(document)).words
    assert "ratio to legacy, lower is better" in words
    assert "ratio to bpf-redirect, lower is better" in words


def test_a_comparison_that_lost_its_arms():
    document = small(families=records.FAMILIES)
    entry = document["comparisons"][0]
    entry |= {"partial": "killed", "arms": {"bpf": entry["arms"]["bpf"]}, "verdicts": []}
    entry["arms"]["bpf"] |= {"samples": [], "values": [], "percentiles": {}}
    assert "no verdict" in page(document)
    assert "not measured" in page(document)


def test_unknown_figures_are_words_not_errors():
    document = small(growth=[records.growth()])
    for entry in document["comparisons"]:
        for verdict in entry["verdicts"]:
            verdict |= {"low": None, "high": None, "p_value": None, "noise": None}
        entry["verdicts"][0] |= {"ratio": None}
    for mean in document["summary"]:
        mean |= {"gain": None, "low": None, "high": None}
    for curve in document["growth"]:
        curve["fits"] = {"legacy": dict.fromkeys(("intercept", "slope", "low", "high"))
                         | {"model": "constant"}}  # fmt: skip
    words = Page(page(document)).words
    assert "no interval" in words
    assert "not fitted" in words
    assert "unknown 12 builds, p unknown" in words


def test_one_build_only():
    Page(page(small(builds=1)))


def test_a_growth_without_points():
    curve = {**records.growth(), "points": {"legacy": []}, "fits": {}, "partial": "interrupted"}
    assert 'id="growth"' not in page(small(growth=[curve]))


def test_strange_machines():
    facts = {"cpus": None, "cpu_model": "", "machine_id_hash": "", "packages": {}}
    assert "Linux 6.18.44 · x86_64, virtual machine ·" in page(small(facts=facts))


def test_dirty_and_emulated_are_said():
    document = small(facts={"accelerator": "emulation"},
                              git={"commit": None, "dirty": True})  # fmt: skip
    words = Page(page(document)).words
    assert "The checkout had uncommitted changes" in words
    assert "Times under emulation say nothing about real hardware" in words


def test_files_that_could_not_be_read_are_named_first():
    assert "Not read: results/x.json is cut off" in page(
        small(), unread=("results/x.json is cut off",)
    )


# ----------------------------------------------------------------------------------- many runs


def test_unlike_machines_are_said_at_the_top():
    other = {"machine_id_hash": "0" * 16, "cpu_model": "Neoverse-N1", "cpus": 64}
    text = page(small(), small(seed=2, facts=other))
    words = Page(text.split("<main>")[0] + "</body></html>").words
    assert (
        "These runs are of unlike machines (AMD EPYC 9B14, 2 CPUs, virtual machine; Neoverse-N1,"
        " 64 CPUs, virtual machine; they differ in cpu_model, cpus, machine_id_hash)" in words
    )


def test_unlike_devices_of_pods_are_said_at_the_top():
    def on(device):
        return [test | {"pod_devices": [device]} for test in records.conformance()]

    text = page(small(conformance=on("veth")), small(seed=2, conformance=on("netkit-l3")))
    words = Page(text.split("<main>")[0] + "</body></html>").words
    assert words.count("Pods hung on unlike devices (veth and netkit-l3)") == 1


def test_like_machines_raise_no_warning():
    assert "<aside" not in page(small(), small(seed=2))


def test_other_rules_are_said_at_the_top():
    text = page(small(), small(seed=2, services=1000))
    said = "The baseline&#39;s rules are not the same in all runs"
    assert said in text
    other = small(seed=2)
    for entry in other["comparisons"]:  # programs are what one usually wants to compare
        entry["baseline"] = "bpf"
        entry["arms"]["bpf"]["nodes"] = {"master": "bpf (other tags)"}
    assert said not in page(small(), other)


def test_many_runs_have_all_tables_and_the_newest_figures():
    many = [small(seed=i, conformance=[])
            for i in range(DRAWN_RUNS + 30)]  # fmt: skip
    text = page(*many)
    Page(text)
    assert text.count('<table class="cards verdicts"') == len(many)
    assert len(set(re.findall(r"run-\d+-forest", text))) == DRAWN_RUNS
    assert f"Figures are drawn for the newest {DRAWN_RUNS} runs" in text


# --------------------------------------------------------------------- what a real run showed


def test_comparisons_are_sorted_whatever_ended_first():
    document = records.record(growth=[], conformance=[])
    shuffled = {**document, "comparisons": document["comparisons"][::-1]}
    assert page(shuffled) == page(document)


def test_means_stand_by_testbed(whole):
    means = {m["testbed"]: m for m in records.record()["summary"] if m["arm"] == "bpf"}
    said = " ".join(
        f"{m['gain']:.3f} [{m['low']:.3f}, {m['high']:.3f}], {m['measures']} comparisons"
        for m in map(means.__getitem__, ("one_node", "two_node", "all"))
    )
    assert f"bpf to legacy {said}" in Page(whole).words


def test_a_constant_growth_is_drawn_flat():
    fit = Fit(model="constant", intercept=2690.0, slope=0.5, low=-0.1, high=1.0)
    assert (fit.at(0), fit.at(10_000)) == (2690.0, 2690.0)
    assert Fit(model="linear", intercept=2690.0, slope=0.5, low=0.4, high=0.6).at(10) == 2695.0


def test_a_ratio_without_an_interval_is_not_in_the_plot():
    document = small()
    for verdict in document["comparisons"][0]["verdicts"]:
        verdict |= {"low": None, "high": None}
    text = page(document)
    assert "no interval" in text
    assert 'id="run-0-forest-0"' not in text


def test_the_noise_is_that_of_the_comparison(whole):
    words = Page(whole).words.replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert words.count("±0.8 % 12 builds, p 0.0005") == 16


def test_what_weakens_a_verdict_is_beside_it():
    document = small()
    entry = document["comparisons"][0]
    entry["verdicts"][0]["warnings"] = ["a noisy run"]
    entry["verdicts"][1]["warnings"] = ["a noisy run"]
    entry["arms"]["bpf"]["extra"] = {"lost_percent": [0.5, 0.1, 0.3]}
    assert (
        "a noisy run (bpf-redirect, bpf) · lost percent: 0.300 (bpf)" in Page(page(document)).words
    )
