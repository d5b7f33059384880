# SPDX-License-Identifier: Apache-2.0
"""`hostroute results`: what it shows, what it refuses, and its exit codes."""

import json

import pytest

from harness.cli import USAGE, main
from harness.errors import REGRESSED, RecordError, UnknownNameError, UnlikeError
from harness.record.likeness import KINDS
from tests import records

ONE = {"measures": ("round-trip-udp-1",), "testbeds": ("one_node",), "families": ("ipv4",)}


@pytest.fixture
def put(tmp_path):
    """A function that writes a record under a name, and returns its path as a text."""

    def write(name="a", **arguments):
        path = tmp_path / f"run-{name}.json"
        path.write_text(json.dumps(records.record(**{**ONE, **arguments})))
        return str(path)

    return write


@pytest.fixture
def results(capsys):
    """A function that runs `hostroute results …` and returns exit code, stdout, stderr."""

    def run(*arguments):
        code = main(["results", *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


def refused(run, error):
    """The one line of a run that was refused."""
    code, out, err = run
    assert (code, out) == (error.exit_code, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("hostroute: ")
    return err


# ------------------------------------------------------------------------------------------- list


def test_list_has_a_line_for_each_record(put, results, tmp_path):
    put("a", seed=1)
    put("b", seed=2, partial="interrupted by Ctrl-C", kernel="6.1.170", measures=())
    code, out, err = results("list", tmp_path)
    assert (code, err) == (0, "")
    head, first, second = out.splitlines()
    assert head.split() == ["id", "started", "kernel", "what", "verdicts", "partial"]
    for words in ("-6.18.44-000001", "2026-11-22T17:41", "1 comparisons, 2 growth, 19 conformance",
                  "bpf faster 1, bpf-redirect faster 1"):  # fmt: skip
        assert words in first
    for words in ("6.1.170", "19 conformance", "interrupted by Ctrl-C"):
        assert words in second


def test_list_for_machines(put, results, tmp_path):
    path = put(exact=records.exact())
    code, out, _ = results("list", tmp_path, "--json")
    (row,) = json.loads(out)
    assert code == 0
    assert (row["id"], row["file"]) == (records.record()["id"], path)
    assert row["what"].endswith("6 exact, 19 conformance")


def test_list_shows_the_others_when_one_cannot_be_read(put, results, tmp_path):
    put("a")
    (tmp_path / "run-b.json").write_text("{")
    code, out, err = results("list", tmp_path)
    assert code == RecordError.exit_code
    assert len(out.splitlines()) == 2
    assert err.startswith("hostroute: ")
    assert "run-b.json is not whole JSON" in err


def test_list_of_nothing(results, tmp_path):
    assert results("list", tmp_path) == (0, f"no records in {tmp_path}\n", "")
    assert "is no directory" in refused(results("list", tmp_path / "absent"), RecordError)


# ------------------------------------------------------------------------------------------- show


def test_show_has_environment_verdicts_growth_and_conformance(put, results):
    path = put(exact=records.exact(), conformance=records.conformance(failed="bpf-redirect"))
    code, out, _ = results("show", path)
    lines = {" ".join(line.split()) for line in out.splitlines()}
    assert code == 0
    assert "machine kernel 6.18.44, 2 CPUs AMD EPYC 9B14, virtualised" in lines
    arms = [line for line in lines if line.startswith("arm one_node master: legacy (")]
    assert len(arms) == 1
    row = next(line for line in lines if " ipv4 bpf 2." in line)
    assert row.startswith("round trip UDP 1 B one_node ipv4 bpf 2.")
    assert " us legacy 0.7" in row
    assert "] faster ±0.8% 12" in row
    assert any("geometric mean over 1 measures, one_node: bpf 1.4" in line for line in lines)
    assert any("bpf constant 0 [-0.001, 0.001] ns for each of the pods" in line for line in lines)
    assert any(line.startswith("round trip one_node ipv4 bpf 22,252 instr") for line in lines)
    assert any(line.startswith("HR-07 legs, same node 2 ok 2 ok 2 FAILED") for line in lines)
    assert any("HR-05" in line and "1 skipped" in line for line in lines)
    failure = "failed: testbeds/one_node/test_legs.py::test_hr07_ping_between_pods_same_node"
    assert any(line.startswith(f"{failure}[bpf-redirect-ipv4]: AssertionError") for line in lines)


def test_show_says_what_is_partial_and_what_weakens_a_verdict(put, results, tmp_path):
    document = records.record(**ONE, partial="stopping after 1 failures")
    document["comparisons"][0]["partial"] = "the link went down"
    document["comparisons"][0]["verdicts"][0]["warnings"] = ["a noisy run"]
    (tmp_path / "x.json").write_text(json.dumps(document))
    _, out, _ = results("show", tmp_path / "x.json")
    assert "PARTIAL    stopping after 1 failures" in out
    assert "partial: round trip UDP 1 B one_node ipv4: the link went down" in out
    assert "warning: round trip UDP 1 B one_node ipv4: bpf-redirect: a noisy run" in out


def test_show_for_machines_is_the_record(put, results):
    code, out, _ = results("show", put(), "--json")
    assert code == 0
    assert json.loads(out) == records.record(**ONE)


def test_a_record_with_nothing_known_can_be_shown(results, tmp_path):
    document = records.record(measures=(), conformance=[], facts={"cpus": None, "cpu_model": ""})
    document |= {"seed": None, "git": {"commit": None, "dirty": None}}
    (tmp_path / "x.json").write_text(json.dumps(document))
    code, out, _ = results("show", tmp_path / "x.json")
    assert code == 0
    assert "None CPUs" not in out
    assert "at no commit" in out


# ---------------------------------------------------------------------------------------- compare


def test_compare_of_two_runs_of_the_same_finds_no_difference(put, results):
    code, out, _ = results("compare", put("a", seed=1), put("b", seed=2))
    assert code == 0
    assert "[across" not in out
    rows = [line for line in out.splitlines() if "ratio" in line]
    assert len(rows) == 7  # legacy, and three arms by their values and against legacy
    assert all("no difference found" in row for row in rows)


@pytest.mark.parametrize(("factor", "word"), [(1.05, "slower by"), (0.95, "faster by")])
def test_compare_finds_what_changed_and_only_that(put, results, factor, word):
    old, new = put("a", seed=1), put("b", seed=2, factors={"bpf": factor})
    _, out, _ = results("compare", old, new)
    rows = [line.split() for line in out.splitlines() if word in line]
    assert [row[:3] for row in rows] == [["bpf", rows[0][1], "us"], ["bpf", "against", "legacy"]]


def test_compare_knows_which_direction_is_better(put, results):
    measure = {"measures": ("throughput-tcp-1",)}
    old, new = put("a", seed=1, **measure), put("b", seed=2, factors={"bpf": 1.2}, **measure)
    _, out, _ = results("compare", old, new)
    assert out.count("faster by") == 2
    assert "slower" not in out


def test_compare_tells_a_drift_of_the_machine_from_a_change_of_the_datapath(put, results):
    old, new = put("a", seed=1), put("b", seed=2, factors={"*": 1.2})
    _, out, _ = results("compare", old, new)
    slower = [line.split()[:2] for line in out.splitlines() if "slower" in line]
    assert len(slower) == 4  # every arm's values
    assert not any(word == "against" for _, word in slower)


def test_compare_for_machines(put, results):
    old, new = put("a", seed=1), put("b", seed=2, factors={"bpf": 1.05}, builds=1)
    code, out, _ = results("compare", old, new, "--json")
    document = json.loads(out)
    assert code == 0
    assert (document["across"], document["unlike"]) == ([], [])
    assert {change["verdict"] for change in document["changes"]} == {"no difference found"}
    assert {change["high"] for change in document["changes"]} == {None}  # of one build, no end


def test_compare_shows_what_kernels_do_otherwise(put, results):
    old = put("a", kernel="6.12.107", conformance=records.conformance())
    new = put("b", seed=2, conformance=records.conformance(mark_kept=False, failed="bpf"))
    code, out, _ = results("compare", old, new, "--across", "kernel")
    assert code == 0
    assert "6 differences of behaviour in 19 tests of both" in out
    assert "HR-37 testbeds/one_node/test_border.py::test_hr37_mark_and_tstamp_across_the_border" \
           "[bpf-ipv6]: mark 119 -> 0" in out  # fmt: skip
    assert "[bpf-ipv4]: outcome passed -> failed" in out


def test_compare_of_conformance_alone(put, results):
    parts = {"measures": (), "growth": []}
    code, out, _ = results("compare", put("a", **parts), put("b", seed=2, **parts))
    assert code == 0
    assert "0 differences of behaviour in 19 tests of both" in out


def test_compare_of_what_has_nothing_in_common(put, results):
    old, new = put("a", conformance=[]), put("b", measures=("connections-tcp",), conformance=[])
    assert "nothing in common" in refused(results("compare", old, new), RecordError)


UNLIKE = {
    "cpu_model": ({"facts": {"cpu_model": "Xeon"}}, "machine", "cpu_model AMD EPYC 9B14 | Xeon"),
    "cpus": ({"facts": {"cpus": 64}}, "machine", "cpus 2 | 64"),
    "virtualised": ({"facts": {"virtualised": False}}, "machine", "virtualised True | False"),
    "guest": ({"facts": {"accelerator": "kvm"}}, "machine", "accelerator not known | kvm"),
    "machine": (
        {"facts": {"machine_id_hash": "0" * 16}}, "machine", "machine_id_hash 9f86d081884c7d65 | 0",
    ),
    "kernel": ({"kernel": "6.12.107"}, "kernel", "kernel 6.18.44 | 6.12.107"),
    "build": ({"facts": {"kernel_version": "#2"}}, "kernel", "kernel_version #1 SMP PREEMPT"),
    "rules": ({"services": 1000}, "rules", "1000 services: ipv4 8005 rules"),
    "governor": ({"facts": {"governor": "powersave"}}, "settings", "governor not known | powers"),
    "sysctl": (
        {"facts": {"sysctls": {"core.bpf_jit_enable": "0"}}}, "settings", "bpf_jit_enable 1 | 0",
    ),
    "mitigations": (
        {"facts": {"cmdline": "quiet mitigations=off"}}, "settings",
        "kernel command line (none) | mitigations=off",
    ),
}  # fmt: skip


@pytest.mark.parametrize("action", ["compare", "gate"])
@pytest.mark.parametrize("name", UNLIKE)
def test_what_is_unlike_is_refused_unless_named_and_then_marked(put, results, action, name):
    changes, kind, words = UNLIKE[name]
    pair = put("a", seed=1), put("b", seed=2, **changes)
    line = refused(results(action, *pair), UnlikeError)
    assert f"{kind}: " in line
    assert words in line
    assert line.rstrip().endswith(f"name it: --across {kind}")
    other = "kernel" if kind != "kernel" else "machine"
    line = refused(results(action, *pair, "--across", other), UnlikeError)
    assert f"--across {','.join(sorted((kind, other), key=list(KINDS).index))}\n" in line

    code, out, _ = results(action, *pair, "--across", kind)
    assert code == 0
    assert out.splitlines()
    assert all(line.startswith(f"[across {kind}]") for line in out.splitlines())
    assert words in out
    document = json.loads(results(action, *pair, "--across", kind, "--json")[1])
    assert document["across"] == [kind]


def test_an_unknown_machine_id_is_no_difference(put, results):
    new = put("b", facts={"machine_id_hash": ""})
    assert results("compare", put("a"), new)[0] == 0


def test_other_boots_packages_disks_and_programs_are_no_difference(put, results, tmp_path):
    facts = {"boot_id": "x", "packages": {}, "cmdline": "root=/dev/vdb1 quiet"}
    document = records.record(**ONE, facts=facts)
    document["comparisons"][0]["arms"]["bpf"]["nodes"]["master"] = "bpf (from_container=other)"
    (tmp_path / "x.json").write_text(json.dumps(document))
    assert results("compare", put("a"), tmp_path / "x.json")[0] == 0


def test_an_interface_of_another_mtu_is_a_difference(put, results, tmp_path):
    document = records.record(**ONE)
    host = document["comparisons"][0]["arms"]["bpf"]["hosts"]["pod1"]
    host["interfaces"]["eth0"] |= {"mtu": 9000, "offloads": []}
    (tmp_path / "x.json").write_text(json.dumps(document))
    line = refused(results("compare", put("a"), tmp_path / "x.json"), UnlikeError)
    assert "settings: pod1.interfaces.eth0.mtu 1500 | 9000" in line
    assert "only in one: pod1.interfaces.eth0.offloads tx-checksumming | -" in line


def test_a_kind_that_does_not_exist(put, results):
    line = refused(results("compare", put("a"), put("b"), "--across", "colour"), UnknownNameError)
    assert "--across 'colour' is unknown: use machine, kernel, rules, settings" in line


# ------------------------------------------------------------------------------------------- gate


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
    for line in ("missing: connections-tcp one_node ipv4: not measured",
                 "missing: round-trip-udp-1 one_node ipv4 over services: legacy not fitted",
                 "missing: round trip one_node ipv6 legacy: not counted"):  # fmt: skip
        assert line in out.splitlines()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda entry: entry["arms"].pop("bpf-redirect"), "arm bpf-redirect not measured"),
        (lambda entry: entry.update(partial="zero samples"), "measured in part (zero samples)"),
        (lambda entry: entry.update(described="UDP 64 B"), "measured as UDP 64 B, and UDP 1 B"),
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


def test_gate_fails_on_a_cost_that_begins_to_grow(put, results):
    grown = records.growth("services")
    grown["fits"]["bpf"] |= {"model": "linear", "slope": 0.01}
    pods = records.growth("pods")
    code, out, _ = results("gate", put("a"), put("b", growth=[grown, pods]))
    assert code == REGRESSED
    assert "growth: round-trip-udp-1 one_node ipv4 bpf: constant before, now +0.01 for each" in out
    grown["fits"]["bpf"]["slope"] = -0.01
    assert results("gate", put("a"), put("b", growth=[grown, pods]))[0] == 0


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


# ------------------------------------------------------------------------------------------ merge


def test_merge_joins_runs_and_leaves_out_what_is_there_twice(put, results, tmp_path):
    paths = [put("a", seed=1), put("b", seed=2, kernel="6.1.170")]
    merged = tmp_path / "all.json"
    code, out, _ = results("merge", tmp_path, paths[0], "-o", merged)
    assert (code, out) == (0, f"{merged}: 2 records\n")
    again = tmp_path / "again.json"
    assert results("merge", merged, paths[1], "-o", again)[0] == 0
    assert json.loads(again.read_text()) == json.loads(merged.read_text())


def test_merge_never_overwrites(put, results, tmp_path):
    path = put("a")
    (tmp_path / "all.json").write_text("mine")
    line = refused(results("merge", path, "-o", tmp_path / "all.json"), RecordError)
    assert "exists already: name a new file" in line
    assert (tmp_path / "all.json").read_text() == "mine"


def test_merge_refuses_two_records_of_one_id_and_what_cannot_be_read(put, results, tmp_path):
    pair = put("a", builds=2), put("b", builds=3)
    assert "another record with the id" in refused(
        results("merge", *pair, "-o", tmp_path / "x.json"), RecordError
    )
    (tmp_path / "run-c.json").write_text("")
    refused(results("merge", pair[0], tmp_path / "run-c.json", "-o", "x.json"), RecordError)
    assert not (tmp_path / "x.json").exists()


def test_a_record_in_a_merged_file_or_a_directory_is_named_by_its_id(put, results, tmp_path):
    put("a", seed=1)
    put("b", seed=2, kernel="6.12.107")
    merged = tmp_path / "all.json"
    results("merge", tmp_path, "-o", merged)
    assert "holds 2 records: name one" in refused(results("show", merged), RecordError)
    for place in (merged, tmp_path):
        code, out, _ = results("show", f"{place}#000002")
        assert code == 0
        assert "kernel 6.12.107" in out
    assert "holds 0 records with 'x'" in refused(results("show", f"{merged}#x"), RecordError)
    assert "holds 2 records" in refused(results("show", f"{merged}#run"), RecordError)
    code, out, _ = results("list", merged)
    assert (code, len(out.splitlines())) == (0, 3)


# ------------------------------------------------------------------------------------ wrong usage


@pytest.mark.parametrize(
    "arguments",
    [(), ("shew",), ("show",), ("compare", "a"), ("merge", "a"), ("gate", "a", "b", "c")],
)
def test_wrong_usage_is_one_line(results, arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        results(*arguments)
    assert caught.value.code == USAGE
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("action", ["show", "compare", "gate"])
def test_what_is_not_there(put, results, tmp_path, action):
    pair = [tmp_path / "absent.json"] * (1 if action == "show" else 2)
    assert "cannot read" in refused(results(action, *pair), RecordError)
