# SPDX-License-Identifier: Apache-2.0
"""Records are validated when they are read: what is none is refused with one line."""

import copy
import json
import os
import shutil
from pathlib import Path

import pytest

from harness import results
from harness.plumbing.errors import RecordError
from harness.results import decode
from harness.results.schema import load
from tests.support import records

DATA = Path(__file__).parents[2] / "data"
SMALL = {"measures": ("round-trip-udp-1",), "testbeds": ("one_node",), "families": ("ipv4",),
         "builds": 2}  # fmt: skip


@pytest.fixture
def put(tmp_path):
    """A function that writes a document, or bytes, to a file."""

    def write(content, name="run-x.json"):
        path = tmp_path / name
        path.write_bytes(
            content if isinstance(content, bytes) else json.dumps(content).encode("utf-8")
        )
        return path

    return write


def refused(path):
    """The one line with which a file is refused."""
    with pytest.raises(RecordError) as caught:
        results.read(path)
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    assert len(line) < 500
    assert str(path) in line
    return line


@pytest.mark.parametrize("name", [results.FORMAT, results.COLLECTION])
def test_the_published_schemas_are_schemas_and_say_what_each_field_is(name):
    from jsonschema import Draft202012Validator  # of an extra: see test_extras.py

    schema = load(name)
    Draft202012Validator.check_schema(schema)
    assert schema["title"].endswith(f"version {results.VERSION}")
    for part in ("comparison", "arm", "verdict", "growth", "assertion", "machine"):
        assert part in load(results.FORMAT)["$defs"]


def test_a_realistic_record_is_read_as_it_was_written(put):
    document = records.record(exact=records.exact())
    assert results.read(put(document)) == records.as_run(document)
    assert decode.document(results.read(put(document))) == document


def test_a_record_that_an_earlier_hostroute_wrote_is_read():
    """Of version 2, when outcomes were a closed set and nothing was noted of other tests."""
    run = results.read(DATA / "version-2.json")
    assert [(each.datapath, each.outcome, each.reruns) for each in run.conformance] == [
        ("legacy", "passed", 0), ("bpf", "passed", 0),
    ]  # fmt: skip
    assert run.conformance[1].legs[0].splitlines()[1] == "master:lxc1     < request"
    document = json.loads((DATA / "version-2.json").read_text())
    assert decode.document(run) | {"batch": None} == document  # which is as good as none


@pytest.mark.parametrize("partial", [None, "interrupted by Ctrl-C"])
def test_a_record_of_which_little_came_is_one_too(put, partial):
    empty = records.record(measures=(), conformance=[], seed=0, partial=partial)
    assert results.read(put(empty | {"seed": None})).partial == partial


def test_a_record_cut_off_at_any_byte_is_refused(put):
    whole = records.record(**SMALL, growth=[], conformance=records.conformance()[:3])
    for arm in whole["comparisons"][0]["arms"].values():
        arm["samples"] = [[turn[:2] for turn in build] for build in arm["samples"]]
    text = json.dumps(whole).encode()
    assert len(text) > 5000
    path = put(text)
    assert results.read(path)
    for length in reversed(range(len(text))):
        os.truncate(path, length)
        with pytest.raises(RecordError, match=r"is not whole JSON \(.*\): it was cut off"):
            results.read(path)


def _changed(document, path, value):
    """A copy with the value at a path replaced, or removed if it is `del`."""
    document = copy.deepcopy(document)
    at = document
    for key in path[:-1]:
        at = at[key]
    if value is del_:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return document


del_ = object()
_ARM = ("comparisons", 0, "arms", "bpf")
WRONG = [
    (("seed",), "7", "$.seed: is a text, not integer or null"),
    (("started",), "yesterday", "$.started: "),
    (("id",), "run-1", "$.id: "),
    (("partial",), "", "$.partial: "),
    (("command",), "pytest", "$.command: is a text, not array"),
    (("git", "commit"), "83f3", "$.git.commit: "),
    (("machine", "cpus"), 2.5, "$.machine.cpus: is a number, not integer or null"),
    (("machine", "kernel"), del_, "$.machine: 'kernel' is a required property"),
    (("machine", "colour"), "red", "$.machine: Additional properties are not allowed ('colour'"),
    (("comparisons",), {}, "$.comparisons: is an object, not array"),
    (("comparisons", 0, "better"), "more", "$.comparisons[0].better: 'more' is not one of"),
    (("comparisons", 0, "family"), 4, "$.comparisons[0].family: "),
    ((*_ARM, "samples", 1, 0, 3), "2690", "$.comparisons[0].arms.bpf.samples[1][0][3]: is a text"),
    ((*_ARM, "samples", 1, 0, 3), True, "samples[1][0][3]: is a boolean, not number"),
    ((*_ARM, "samples", 1, 0, 3), None, "samples[1][0][3]: is null, not number"),
    ((*_ARM, "samples", 1, 0), 3.0, "samples[1][0]: is a number, not array"),
    ((*_ARM, "values", 1, 0), "2690", "$.comparisons[0].arms.bpf.values[1][0]: is a text"),
    ((*_ARM, "nodes", "master"), None, "$.comparisons[0].arms.bpf.nodes.master: is null"),
    ((*_ARM, "percentiles", "median"), 1.0, "$.comparisons[0].arms.bpf.percentiles: 'median'"),
    (("comparisons", 0, "verdicts", 0, "verdict"), "better", "verdicts[0].verdict: 'better'"),
    (("growth", 0, "points", "bpf", 0, "x"), 1.5, "$.growth[0].points.bpf[0].x: is a number"),
    (("growth", 0, "fits", "bpf", "model"), "log", "$.growth[0].fits.bpf.model: 'log'"),
    (("conformance", 0, "id"), "HR-7", "$.conformance[0].id: 'HR-7' does not match"),
    (("conformance", 0, "outcome"), "", "$.conformance[0].outcome: ''"),
    (("conformance", 0, "outcome"), 1, "$.conformance[0].outcome: is a number, not string"),
    (("conformance", 0, "reruns"), -1, "$.conformance[0].reruns: '-1'"),
    (("exact", 0, "family"), "\ud800", "$.exact[0].family: '?' is not one of those that are known"),
    (("exact", 0, "\ud800"), "red", "$.exact[0]: Additional properties are not allowed ('?'"),
    (("exact", 0, "colour"), "red", "$.exact[0]: Additional properties are not allowed ('colour'"),
    (("conformance", 1, "observed", "mark"), [], "conformance[1].observed.mark: is an array"),
    (("exact", 0, "value"), "1", "$.exact[0].value: is a text, not number"),
    # What a schema cannot say.
    (("comparisons", 0, "baseline"), "bfp", "names an arm 'bfp' that it does not have"),
    (("comparisons", 0, "verdicts", 0, "against"), "bfp", "names an arm 'bfp'"),
    ((*_ARM, "values", 1), [1.0], "values are not one for each round of its samples"),
    ((*_ARM, "values"), [], "values are not one for each round of its samples"),
]


@pytest.mark.parametrize(("path", "value", "words"), WRONG)
def test_a_wrong_value_is_named_with_its_place(put, path, value, words):
    document = records.record(**SMALL, exact=records.exact())
    line = refused(put(_changed(document, path, value)))
    assert "is a damaged record (" in line
    assert words in line


@pytest.mark.parametrize("part", sorted(records.record(**SMALL)))
def test_no_part_may_be_missing(put, part):
    line = refused(put(_changed(records.record(**SMALL), (part,), del_)))
    assert "is no record" in line if part in ("format", "version") else f"$: '{part}'" in line


def test_arms_of_unlike_length_are_for_partial_comparisons_only(put):
    document = records.record(**SMALL)
    for part in ("samples", "values"):  # they have no verdict
        document["comparisons"][0]["arms"]["bpf again"][part].pop()
    assert results.read(put(document))
    for part in ("samples", "values"):
        document["comparisons"][0]["arms"]["bpf"][part].pop()
    assert "bpf and legacy differ in their numbers of builds" in refused(put(document))
    document["comparisons"][0]["partial"] = "the link went down"
    assert decode.document(results.read(put(document))) == document


FOREIGN = {
    b"": "is not whole JSON",
    b"\xff\xfe{": "is not whole JSON (no UTF-8 at byte 0 of 3)",
    b"\xef\xbb\xbf{}": "is not whole JSON (Unexpected UTF-8 BOM",
    '{"format": "hostroute-record", "version": 2}'.encode("utf-16"): "no UTF-8 at byte 0",
    b"[]": "is no record of hostroute (it holds no JSON object)",
    b"7": "is no record of hostroute",
    b'{"benchmarks": [], "version": "5.3.1"}': "is no record of hostroute (its format is 'None')",
    b'{"format": "junit", "version": 2}': "its format is 'junit'",
    b'{"format": ["hostroute-record"], "version": 2}': "is no record of hostroute",
    b'{"format": "hostroute-record"}': "is no record of hostroute",
    b'{"format": "hostroute-record", "version": true}': "is no record of hostroute",
    b'{"format": "hostroute-record", "version": "2"}': "is no record of hostroute",
    b'{"format": "hostroute-record", "version": 3}': "of version 3, newer than 2",
    b'{"format": "hostroute-records", "version": 9}': "of version 9, newer than 2",
    b'{"format": "hostroute-record", "version": 2}': "is a damaged record ($: 'id' is a required",
    b'{"format": "hostroute-bench", "version": 1}': "is a record of version 1, and version 2 is",
    b"[" * 100_000: "is not whole JSON (maximum recursion depth exceeded",
    b'{"format": ' + b"9" * 5000 + b"}": "is not whole JSON (Exceeds the limit",
    b'{"seed": ' + b"9" * 400 + b"}": f"is not whole JSON ({'9' * 40} is beyond the range",
    b'{"seed": NaN}': "is not whole JSON (NaN is not JSON)",
    b'{"seed": -Infinity}': "is not whole JSON (-Infinity is not JSON)",
    b'{"seed": 1e999}': "is not whole JSON (1e999 is beyond the range of numbers)",
}


@pytest.mark.parametrize("content", FOREIGN, ids=[str(number) for number in range(len(FOREIGN))])
def test_what_is_no_record_is_refused(put, content):
    assert FOREIGN[content] in refused(put(content))


def test_what_is_no_file_is_refused(tmp_path):
    assert "No such file or directory" in refused(tmp_path / "absent.json")
    assert "is not a file" in refused(tmp_path)
    os.mkfifo(tmp_path / "fifo")  # opening it would wait for a writer for ever
    assert "is not a file" in refused(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    assert "symbolic links" in refused(tmp_path / "loop")


def test_a_file_that_may_not_be_read(put, monkeypatch):
    path = put(records.record(**SMALL))

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("harness.plumbing.safe_read.read", refuse)
    assert "cannot read" in refused(path)


def test_a_directory_that_may_not_be_read_is_not_an_empty_one(tmp_path, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refuse)
    for read in (results.find, results.files, lambda path: results.read_all([path])):
        with pytest.raises(RecordError, match=rf"cannot read {tmp_path} \(Permission denied\)"):
            read(tmp_path)


def test_a_name_that_is_too_long_is_refused_in_a_line(tmp_path):
    path = tmp_path / ("x" * 256)
    for read in (results.find, results.files, results.read):
        with pytest.raises(RecordError, match=r"cannot read .*x \(File name too long\)"):
            read(path)


def test_many_records_are_found_the_oldest_first(put, tmp_path):
    (tmp_path / "k6.1").mkdir()
    one, two = records.record(**SMALL, seed=1), records.record(**SMALL, seed=2)
    newer = put(two, "run-20261123T000000Z-6.18-000002.json")
    older = put(one, "k6.1/run-20261122T000000Z-6.1-000001.json")
    put(b"", "report.json")
    put(b"", ".run-draft.json")
    assert results.find(tmp_path) == [older, newer]
    runs = [records.as_run(each) for each in (one, two)]
    assert results.read_all([tmp_path]) == runs
    assert results.read_all([newer, tmp_path, older]) == runs[::-1]


def test_a_directory_without_records_is_an_error(tmp_path):
    with pytest.raises(RecordError, match="holds no records"):
        results.read_all([tmp_path])
    with pytest.raises(RecordError, match="is no directory"):
        results.find(tmp_path / "absent")


def test_two_records_that_differ_may_not_share_an_id(put):
    one = records.record(**SMALL)
    paths = [put(one, "run-1.json"), put(one | {"seed": 99}, "run-2.json")]
    with pytest.raises(RecordError, match="another record with the id"):
        results.read_all(paths)


def test_a_merged_file_is_read_like_its_parts(put, tmp_path):
    parts = [records.record(**SMALL, seed=seed, kernel=kernel)
             for seed, kernel in enumerate(("5.10.262", "6.18.44"))]  # fmt: skip
    path = tmp_path / "all.json"
    runs = [records.as_run(each) for each in parts]
    results.merge(runs, path)
    assert results.read_all([path]) == runs
    assert json.loads(path.read_text())["records"] == parts
    assert f"holds 2 records: name one, as in {path}#ID" in refused(path)
    document = json.loads(path.read_text())
    document["records"][1]["seed"] = "x"
    assert "$.records[1].seed: is a text" in refused(put(document))
    document["records"][1] = parts[1] | {"comparisons": [
        parts[1]["comparisons"][0] | {"baseline": "x"}]}  # fmt: skip
    assert "$.records[1].comparisons[0]: names an arm 'x'" in refused(put(document))


@pytest.mark.parametrize("sample", [1, 2.5, -1, True, None, "1", [1], {}])
def test_the_reader_is_as_strict_with_samples_as_the_published_schema(put, sample):
    from jsonschema import Draft202012Validator

    document = records.record(**SMALL, growth=[])
    document["comparisons"][0]["arms"]["bpf"]["samples"][0][0][0] = sample
    path = put(document)
    if Draft202012Validator(load(results.FORMAT)).is_valid(document):
        assert results.read(path)
    else:
        assert "samples[0][0][0]: is " in refused(path)


def test_what_msgspec_alone_would_refuse_is_read(put):
    """A command's argument that is no UTF-8, as the system has it."""
    document = records.record(**SMALL) | {"command": ["pytest", "-k", "\udcff"]}
    assert results.read(put(document)).command[-1] == "\udcff"


def test_an_outcome_that_nobody_knows_is_read(put):
    document = records.record(**SMALL)
    document["conformance"][0] |= {"outcome": "not claimed", "reruns": 2}
    (found, *_) = results.read(put(document)).conformance
    assert (found.outcome, found.passed, found.failed, found.reruns) == (
        "not claimed", False, False, 2,
    )  # fmt: skip


def test_what_is_nested_too_deeply_is_refused(tmp_path):
    """Reports walk through it; Python bears a thousand calls."""
    document = records.record()
    deep = {}
    for _ in range(900):
        deep = {"a": deep}
    document["comparisons"][0]["plan"] = deep
    path = tmp_path / "run-deep.json"
    path.write_text(json.dumps(document))
    with pytest.raises(RecordError, match=r"damaged record \(\$: nested more than 50 deep\)"):
        results.read(path)


def test_a_directory_that_vanishes_meanwhile_is_passed_over(tmp_path, monkeypatch):
    """A run beside it empties its pcaps' directories; rglob ended with an error of the system."""
    (tmp_path / "pcaps" / "going").mkdir(parents=True)
    results.write(tmp_path, records.run())
    scandir = os.scandir

    def vanishing(path):
        if str(path).endswith("pcaps"):
            shutil.rmtree(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", vanishing)
    assert len(results.find(tmp_path)) == 1
