# SPDX-License-Identifier: Apache-2.0
"""`hostroute results`: list, show and merge; wrong usage."""

import json
from pathlib import Path

import pytest

from harness.cli import USAGE
from harness.plumbing.errors import RecordError
from tests.support import records
from tests.support.results_desk import ONE, refused

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


@pytest.mark.parametrize("action", ["list", "show", "merge"])
def test_a_name_that_cannot_be_one_is_refused_in_a_line(results, tmp_path, action):
    options = ("-o", tmp_path / "all.json") if action == "merge" else ()
    line = refused(results(action, tmp_path / ("x" * 256), *options), RecordError)
    assert "(File name too long)" in line


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
    assert " µs legacy 0.7" in row
    assert "] faster ±0.8 % 12" in row
    assert any("geometric mean over 1 measures, one_node: bpf 1.4" in line for line in lines)
    assert any(
        "bpf constant 0 ns [\N{MINUS SIGN}0.00100, 0.00100] for each pod" in line for line in lines
    )
    assert any(line.startswith("round trip one_node ipv4 bpf 22 252 instr") for line in lines)
    assert any(line.startswith("HR-07 legs, same node 2 ok 2 ok 2 FAILED") for line in lines)
    assert any("HR-05" in line and "1 skipped" in line for line in lines)
    failure = "failed: testbeds/one_node/test_legs.py::test_hr07_ping_between_pods_same_node"
    assert any(line.startswith(f"{failure}[bpf-redirect-ipv4]: AssertionError") for line in lines)


def test_show_lists_what_is_not_claimed_by_datapath_and_claim(put, results):
    bare = {"outcome": "not claimed", "reason": "source_check"}
    tests = [test | bare if test["id"] == "HR-07" and test["datapath"] == "legacy" else test
             for test in records.conformance()]  # fmt: skip
    code, out, _ = results("show", put(conformance=tests))
    assert code == 0
    lines = out.splitlines()
    assert "not claimed: legacy: source_check (HR-07): 2 tests" in lines
    assert sum(line.startswith("not claimed") for line in lines) == 1
    (row,) = [" ".join(line.split()) for line in lines if line.startswith("HR-07")]
    assert row.endswith("2 not claimed 2 ok 2 ok 2 ok .")
    assert "not claimed" not in results("show", put())[1]


def test_show_says_what_is_partial_and_what_weakens_a_verdict(put, results, tmp_path):
    document = records.record(**ONE, partial="stopping after 1 failures")
    document["comparisons"][0]["partial"] = "the link went down"
    document["comparisons"][0]["verdicts"][0]["warnings"] = ["a noisy run"]
    (tmp_path / "x.json").write_text(json.dumps(document))
    _, out, _ = results("show", tmp_path / "x.json")
    assert "PARTIAL    stopping after 1 failures" in out
    assert "partial: round trip UDP 1 B one_node ipv4: the link went down" in out
    measured = [line.split() for line in out.split("\ngrowth\n")[0].splitlines()]
    rows = [row for row in measured if row[:2] == ["round", "trip"] and "±0.8" in row]
    assert len(rows) == 3
    assert all("partial" in row and "faster" not in row for row in rows), rows
    assert "warning: round trip UDP 1 B one_node ipv4: bpf-redirect: a noisy run" in out
    (tmp_path / "x.json").rename(tmp_path / "run-x.json")
    _, out, _ = results("list", tmp_path)
    assert document["id"] in out
    assert "faster" not in out


def test_show_says_which_curves_are_partial(desk, results):
    curves = [records.growth("pods"), records.growth("services")]
    curves[0]["partial"] = "interrupted"
    curves[1] |= {"partial": "the time was up", "fits": {}}
    _, out, _ = results("show", desk.keep(records.record(measures=(), growth=curves)))
    rows = [line.split() for line in out.splitlines() if line.startswith("round trip")]
    assert [row[8] for row in rows] == ["partial"] * 4
    assert "partial: round trip UDP 1 B one_node ipv4 over pods: interrupted" in out
    assert "partial: round trip UDP 1 B one_node ipv4 over services: the time was up" in out


def test_a_record_that_was_kept_although_it_is_invalid_is_in_no_ones_way(put, desk, results):
    good = put("a", seed=1)
    desk.keep({"format": "hostroute-record"}, "run-b.invalid.json")
    for words in (("list", desk.directory), ("show", f"{desk.directory}#000001"),
                  ("merge", desk.directory, "-o", desk.directory / "all.json")):  # fmt: skip
        code, _, err = results(*words)
        assert (code, err) == (0, ""), words
    assert json.loads(Path(good).read_text())["id"] in results("list", desk.directory)[1]


def test_no_escape_sequence_of_a_record_reaches_the_terminal(desk, results):
    document = records.record(**ONE, partial="\x1b[31mred")
    document["comparisons"][0]["arms"]["bpf"]["nodes"]["master"] = "bpf \x1b]0;title\x07"
    path = desk.keep(document)
    for words in (("show", path), ("list", path), ("compare", path, path), ("gate", path, path)):
        code, out, _ = results(*words)
        assert code == 0
        assert "\x1b" not in out
        assert "\N{REPLACEMENT CHARACTER}[31mred" in out


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
